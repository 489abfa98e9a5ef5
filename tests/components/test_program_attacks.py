"""Every attack on the programs that run in a cluster, and the test that replays it on their code.

Each is met by the real program on loopback, or by its real files; what is told here is what it
comes to.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.examples import ROOT

PROBER: Final = "tests/components/test_prober"
AGENT, REGISTRY = "tests/components/test_model_cache_agent", "tests/components/model_registry/test"
ATTACKS: Final = (
    ("a manifest of 505 levels", "refused: 16", f"{REGISTRY}_manifest", "sixteen_names"),
    ("a manifest of millions of directories", "refused: 2000", f"{REGISTRY}_manifest",
     "in_too_many_directories"),
    ("a manifest that is no JSON, is deep, has huge numbers", "refused", f"{REGISTRY}_manifest",
     "any_bytes_are_a_manifest_or_refused"),
    ("a path out of the model's directory", "refused", f"{REGISTRY}_manifest", "leads_astray"),
    ("a file where another has a directory", "refused", f"{REGISTRY}_manifest",
     "never_share_a_place"),
    ("a model of more files than inodes", "not held, the kubelet evicts nobody", f"{AGENT}_disk",
     "more_files_than_the_disk_has_inodes"),
    ("a model larger than the cache's disk", "not held", f"{AGENT}_disk",
     "larger_than_its_disk"),
    ("content of another project by its digest", "not given", AGENT, "of_another_s"),
    ("wrong content in the registry", "never visible", AGENT, "wrong_content_never_appears"),
    ("a peer that lies", "costs 64 MiB a content, left alone for 10 minutes", f"{AGENT}_bad_peers",
     "costs_a_piece"),
    ("many peers that lie", "cost 64 MiB a content", f"{AGENT}_bad_peers", "liars_cost_a_piece"),
    ("a peer that trickles content", "10 s, then the registry", f"{AGENT}_bad_peers",
     "trickles, "),
    ("a peer that hangs", "10 s, then the registry", f"{AGENT}_bad_peers", "hangs, "),
    ("a peer whose answer never begins: a head byte by byte", "passed; 10 s now",
     f"{AGENT}_bad_peers", "drips_its_head, "),
    ("a peer whose answer never begins: 100 Continue for ever", "passed; 10 s now",
     f"{AGENT}_bad_peers", "never_begins, "),
    ("a peer with a head of a thousand lines", "refused", f"{AGENT}_bad_peers",
     "has_a_long_head, "),
    ("a peer that sends more, in chunks, or from elsewhere", "refused", f"{AGENT}_bad_peers",
     "leads_elsewhere, "),
    ("a peer's wrong manifest", "not believed", f"{AGENT}_bad_peers", "spoilt_manifest"),
    ("a question without the project's token", "told nothing", f"{AGENT}_peers",
     "without_the_project_s_token"),
    ("content that is not verified yet", "not given", f"{AGENT}_peers",
     "only_what_is_verified_is_given"),
    ("more connections than threads", "hung up on", f"{AGENT}_bad_peers",
     "more_connections_than_there_are_threads"),
    ("a question byte by byte", "hung up on after 10 s", f"{AGENT}_listen",
     "says_its_question_byte_by_byte"),
    ("an answer taken byte by byte", "hung up on", f"{AGENT}_listen",
     "takes_its_answer_byte_by_byte"),
    ("heads of 6.5 MB on all connections", "passed; 16 KiB each now", f"{AGENT}_listen",
     "asks_at_length"),
    ("more transfers than the line carries", "busy", f"{AGENT}_peers", "a_few_at_a_time"),
    ("push: a link to a credential", "refused", f"{REGISTRY}_push", "out_of_the_directory"),
    ("push: a hub cache whose blobs are a link", "refused", f"{REGISTRY}_push",
     "blobs_that_are_a_link"),
    ("push: a pipe", "refused", f"{REGISTRY}_push", "a_pipe_is_no_part"),
    ("push: a file that changes meanwhile", "refused", f"{REGISTRY}_push", "changes_while"),
    ("pull: a link among the model's folders", "refused", f"{REGISTRY}_pull",
     "no_link_in_the_directory"),
    ("pull: links, hard links and pipes among what is unfinished", "passed; refused now",
     f"{REGISTRY}_pull", "laid_among_unfinished"),
    ("pull: a content of another size", "corrupt", f"{REGISTRY}_pull", "of_another_size"),
    ("pull: a model larger than the disk", "refused at once", f"{REGISTRY}_pull",
     "larger_than_the_disk"),
    ("a config for the agent that is not well formed", "refused whole", f"{AGENT}_program",
     "not_well_formed"),
    ("prober: a redirect with its token", "not followed", f"{PROBER}_answers", "redirect"),
    ("prober: an answer whose head trickles", "cut at the deadline", f"{PROBER}_answers",
     "trickling_headers"),
    ("prober: an answer without end", "cut at the deadline", f"{PROBER}_answers",
     "begins_and_does_not_end"),
    ("prober: a pattern that takes for ever", "given up", f"{PROBER}_answers", "endless_pattern"),
    ("prober: a model that hangs", "holds up no other", PROBER, "hanging_model"),
)  # fmt: skip
"""The attack, what it comes to, and where it is replayed: a file, and what one of its tests is
called or is given."""


@pytest.mark.parametrize(("attack", "result", "file", "of"), ATTACKS, ids=lambda value: value)
def test_each_attack_is_replayed(attack: str, result: str, file: str, of: str) -> None:
    text = (ROOT / f"{file}.py").read_text()
    replayed = rf"def test_\w*{re.escape(of)}|^        \({re.escape(of)}"
    assert re.search(replayed, text, re.MULTILINE), f"{attack}: {result}, says nobody"
