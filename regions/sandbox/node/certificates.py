"""The region's own certificate authority, and what API server and kubelets know each other by.

kube-proxy and kube-router have client certificates too; controllers and scheduler have a token, and
etcd listens on the namespace's loopback. Kept as files, since Kubernetes' parts read files: whoever
holds the authority's key controls the region. Kubernetes itself gives rights to `system:node:*` and
`system:kube-proxy` (its documentation, "PKI certificates and requirements", read 2026-11), and
rights.yaml to the others.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from regions.sandbox.layout import write_atomically

_LIFE: Final = datetime.timedelta(days=365)
_AUTHORITY_LIFE: Final = datetime.timedelta(days=3650)  # as kubeadm's
_RENEWED_BEFORE: Final = datetime.timedelta(days=30)
_SKEW: Final = datetime.timedelta(minutes=5)
_USES: Final = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a certificate and its key lie."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        """The PEM file of the certificate."""
        return self.folder / f"{self.name}.crt"

    @property
    def key(self) -> Path:
        """The PEM file of the key, readable by its owner alone."""
        return self.folder / f"{self.name}.key"

    def exists(self) -> bool:
        """Whether the certificate is there, and so its key, which is written first."""
        return self.certificate.exists()


def authority(folder: Path, called: str = "authority") -> Pair:
    """The region's authority, or another one of it by its name; made where there is none."""
    pair = Pair(folder, called)
    if not pair.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"sandbox of isoserve {called}", "")
        made = _builder(name, name, key, key, _AUTHORITY_LIFE).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        _write(pair, key, made.sign(key, hashes.SHA256()))
    return pair


def issue(signer: Pair, name: str, user: str, group: str, reached_at: tuple[str, ...]) -> Pair:
    """A certificate for `user` in `group` that also serves at the addresses and names.

    An existing one is kept, unless it ends within 30 days, is another authority's, or is of other
    addresses: those of a region may change.
    """
    pair = Pair(signer.folder, name)
    root = x509.load_pem_x509_certificate(signer.certificate.read_bytes())
    if not (pair.exists() and _is_good(pair, root, set(reached_at))):
        root_key = serialization.load_pem_private_key(signer.key.read_bytes(), password=None)
        assert isinstance(root_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(_name(user, group), root.subject, key, root_key, _LIFE)
        made = made.add_extension(x509.ExtendedKeyUsage(_USES), critical=False)
        if reached_at:
            places = x509.SubjectAlternativeName([_place(one) for one in reached_at])
            made = made.add_extension(places, critical=False)
        _write(pair, key, made.sign(root_key, hashes.SHA256()))
    return pair


def _is_good(pair: Pair, root: x509.Certificate, places: set[str]) -> bool:
    made = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    now = datetime.datetime.now(datetime.UTC)
    if made.not_valid_after_utc - now < _RENEWED_BEFORE:
        return False
    try:
        made.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    try:
        named = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return not places
    return {str(place.value) for place in named} == places


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    life: datetime.timedelta,
) -> x509.CertificateBuilder:
    """What RFC 5280 asks of every certificate, which strict clients (Python 3.13) look for."""
    now = datetime.datetime.now(datetime.UTC)
    signs = key is issuer_key
    uses = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    of_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
        .add_extension(own, critical=False)
        .add_extension(of_issuer, critical=False)
        .add_extension(uses, critical=True)
    )


def _name(user: str, group: str) -> x509.Name:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(names)


def _place(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write(pair: Pair, key: ec.EllipticCurvePrivateKey, made: x509.Certificate) -> None:
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_atomically(pair.key, secret.decode(), mode=0o600)
    write_atomically(pair.certificate, made.public_bytes(serialization.Encoding.PEM).decode())
