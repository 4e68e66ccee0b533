"""Container images without a registry: archives as `docker save` writes them, the same bytes for the same files."""

import hashlib
import io
import json
import pathlib
import platform
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Go, and so images, name them


class Executable(bytes):
    """The content of a file that can be run."""


def layer(entries):
    """A layer's tar. `entries` maps a path in the image to a file of the host's, to bytes, or to None for a directory."""
    directories = {str(parent): None for path in entries for parent in pathlib.PurePosixPath(path).parents if parent.name}
    everything = directories | entries
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(everything):
            _add(tar, path.strip("/"), everything[path])
    return buffer.getvalue()


def _add(tar, name, content):
    """Adds an entry whose owner and time are the same on every machine."""
    entry = tarfile.TarInfo(name)
    if content is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
        tar.addfile(entry)
        return
    if isinstance(content, pathlib.Path):
        runs = content.stat().st_mode & 0o100
        content = (Executable if runs else bytes)(content.read_bytes())
    entry.size, entry.mode = len(content), 0o755 if isinstance(content, Executable) else 0o644
    tar.addfile(entry, io.BytesIO(content))


def write(path, tags, layers, **config):
    """Writes an archive of one image under these tags. `config` has the image's settings: Entrypoint, User, Env..."""
    digests = [hashlib.sha256(data).hexdigest() for data in layers]
    description = {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    configuration = json.dumps(description, sort_keys=True).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    files = [f"{digest}/layer.tar" for digest in digests]
    manifest = json.dumps([{"Config": name, "RepoTags": tags, "Layers": files}]).encode()
    with tarfile.open(path, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file, content in [(name, configuration), *zip(files, layers), ("manifest.json", manifest)]:
            _add(tar, file, content)
