"""Every error code, with what it means and how to mend it."""

from __future__ import annotations

from typing import Final

CODES: Final[dict[str, tuple[str, str]]] = {
    "E100": (
        "A file or directory cannot be read.",
        "Check that the path exists and that you may read it.",
    ),
    "E101": ("A file is empty.", "Write machine_type, image and model."),
    "E102": ("A file is not YAML.", "Mend the syntax at the place that is named."),
    "E103": ("A file holds two YAML documents.", "Keep one; one model is one file."),
    "E104": (
        "Something other than `key: value` lines stands where only these can.",
        "Write the keys out, each a plain word.",
    ),
    "E105": ("A key is given twice.", "Keep one; YAML would silently take the last."),
    "E106": (
        "Anchors, aliases and merge keys are not read.",
        "Write the value out where it is used; a spec shows what it says.",
    ),
    "E107": ("Values are nested too deeply.", "Flatten them."),
    "E108": (
        "A file is too large, no regular file, or not ours to write.",
        "Give a plain file of at most 256 KiB; for an output, move the stranger's file away.",
    ),
    "E109": ("A file is not UTF-8 text.", "Save it as UTF-8."),
    "E110": ("YAML tags are not read.", "Write a plain value without `!tag`."),
    "E111": (
        "A file that looks like a spec or a profile stands where none is read.",
        "Move it to `model_specs/PROJECT/MODEL.yaml` or `regions/REGION.yaml`, or remove it.",
    ),
    "E112": ("A file has more errors than are listed.", "Mend those that are, and run again."),
    "E201": ("There is no such field.", "Take the field that is proposed, or see schema.json."),
    "E202": (
        "A field belongs elsewhere.",
        "Move it to the place that is named.",
    ),
    "E203": ("Something needed is missing.", "Write it; the message names what."),
    "E204": ("A value has the wrong type.", "Write it in the type that is named."),
    "E205": (
        "A file has the envelope or the version of another tool's files.",
        "Remove it; there is one schema, and the file's place says what it is.",
    ),
    "E301": ("A value is out of its bounds or its pattern.", "Stay within what is named."),
    "E302": (
        "Replica numbers contradict each other or the region's nodes.",
        "Keep `min <= max`, schedules within max, and max within the nodes of the region.",
    ),
    "E303": (
        "An amount is written with a unit.",
        "Write the bare number; the field's name says what it counts.",
    ),
    "E304": (
        "A time span is written with a unit.",
        "Write the bare number of seconds; the message converts it where it can.",
    ),
    "E305": (
        "A schedule is not one that Kubernetes and KEDA can follow.",
        "Write five cron fields, e.g. `0 8 * * 1-5`, days as 0 to 6; zones are of the tz database.",
    ),
    "E306": (
        "A regular expression cannot be read.",
        "Mend it where the message says, or escape what is meant literally.",
    ),
    "E311": (
        "A name has characters that an address cannot have.",
        "Use lower-case letters, digits and single hyphens, starting with a letter.",
    ),
    "E312": ("A name is too long.", "Shorten it; it becomes part of host names and roles."),
    "E313": ("A name is not plain ASCII.", "Use a-z, 0-9 and hyphens."),
    "E314": (
        "A name belongs to the platform, or to an add-on's namespace.",
        "Choose another; the message says whose it is.",
    ),
    "E315": (
        "One name would stand for two things.",
        "Rename a file; the message names those that are in question.",
    ),
    "E321": (
        "A model's address has not its form.",
        "Copy `project/model:version@sha256:<64 hex digits>` from the registry.",
    ),
    "E322": ("A model belongs to another project.", "Copy it into this project's registry."),
    "E323": ("A model is not pinned by its digest.", "Add `@sha256:<manifest digest>`."),
    "E324": ("An image is not pinned by its digest.", "Resolve its tag to `@sha256:<digest>`."),
    "E325": (
        "An image's host is the machine that pulls it, or no registry can be there.",
        "Name a registry that every region reaches.",
    ),
    "E331": (
        "There is no such machine type or runtime.",
        "Take one of the catalogue: `isoserve machines`, or `isoserve explain image`.",
    ),
    "E332": (
        "A model cannot be shared over the GPUs of its machine type as it is.",
        "Let the sizes multiply to its GPUs, and tensor parallelism divide the attention heads.",
    ),
    "E333": (
        "There is no such region, or a region cannot give what is asked.",
        "Mend the name, leave the region out of `regions`, or ask for what it has.",
    ),
    "E334": (
        "A model, one request's KV cache or /dev/shm is larger than its machine type's memory.",
        "Take a larger one (`isoserve machines --fits PROJECT/MODEL`), or the context it names.",
    ),
    "E335": (
        "A runtime cannot start without a GPU and its machine type has none.",
        "Take a machine type with a GPU, or a runtime that serves without one.",
    ),
    "E336": (
        "A runtime's image is not for the processors or the GPUs of its machine type.",
        "Take a machine type of what the message names, or an image of your own with `runtime`.",
    ),
    "E341": (
        "A secret is written out in a file.",
        "Revoke it, since it has been seen; keep the new one in a Secret and name that in "
        "`secrets`.",
    ),
    "E342": (
        "An environment variable is not a spec's: the platform, a loader or an SDK reads it.",
        "Remove it, or give it a name of letters, digits and _, or a value, as the message says.",
    ),
    "E343": (
        "An argument would not arrive as written, or is none that a spec gives this runtime.",
        "Do what the message says; arguments are a list that no shell reads.",
    ),
    "E351": (
        "Who may call, or under which host, is written by hand.",
        "Choose `access`; hosts, walls and sign-in are made from it.",
    ),
    "E352": (
        "A ttl is no moment with a time zone, or is too far away.",
        "Write one within two years, e.g. 2027-01-31T00:00:00Z, or `14d` and pin the spec.",
    ),
    "E353": (
        "Two fields contradict each other.",
        "Change one of them as the message says.",
    ),
    "E354": (
        "Labels, annotations or placement are written by hand.",
        "Remove them; they are made from names, machine type and region.",
    ),
    "E361": (
        "A file leads out of its tree, or everyone may write it.",
        "Put a plain copy there that only its owner writes.",
    ),
    "E362": (
        "A folder of a job's data is none inside its project.",
        "Write folders below the project's data, e.g. `nightly/scores`, without bucket or `..`.",
    ),
    "E371": (
        "A region profile contradicts itself.",
        "Change the profile as the message says.",
    ),
    "E372": (
        "Two region profiles contradict each other.",
        "Change one of them as the message says.",
    ),
    "E381": (
        "A quota, a pool, a disk or a ConfigMap is too small for all models together.",
        "Raise it, or lower what the models ask for.",
    ),
    "E382": (
        "A project at its largest size costs more than its cap.",
        "Raise `cost_cap_usd_per_month`, or lower the field that the message names.",
    ),
    "E391": (
        "A model registry cannot do what is asked.",
        "Do what the message says; `isoserve model list` shows what there is.",
    ),
    "E392": (
        "An image registry cannot do what is asked, or a file has no image to pin.",
        "Do what the message says; `isoserve image pin` changes no file until all are found.",
    ),
    "W401": (
        "A model was renamed or moved: the old one is deleted, and a new one is made beside it.",
        "Approve it in the review when callers know the new address; its weights are fetched anew.",
    ),
    "W402": (
        "A region profile still has a value of an example.",
        "Write the region's own as the message says; a warning does not change the exit code.",
    ),
    "W403": (
        "An image of one's own is held to the contract of the platform.",
        "Make the image meet it, or take a runtime of the catalogue; the message has the contract.",
    ),
    "W404": (
        "A model is not probed for correctness.",
        "Write `probe.request`; until then the runtime is asked whether it is ready, by tickets.",
    ),
    "W405": (
        "A model's ttl has passed, so it is planned nowhere, or passes within a week.",
        "Set a later ttl to keep the model or to bring it back; else delete the spec.",
    ),
    "W406": (
        "Whether an instance type carries its machine type is not certain.",
        "Compare the two as the message says; a warning does not change the exit code.",
    ),
    "W407": (
        "A model's GPU memory is checked without its KV cache: the lock has no facts of it.",
        "Pin it with `isoserve model pin`, which records what its config.json says.",
    ),
    "W408": (
        "A model may have no pod, and its first caller does not wake it behind Envoy Gateway.",
        "Write `scaling.min` or `scaling.schedules`; a warning does not change the exit code.",
    ),
}
