"""Whether a folder lies on a disk of this host, which SQLite's WAL mode needs, or on one that several hosts share.

SQLite does not find out: on a network file system the first host gets WAL mode, the second one breaks the file
(https://sqlite.org/wal.html, "all processes must be on the same host").
"""

from __future__ import annotations

from pathlib import Path

import psutil

__all__ = ["network_file_system"]

_SHARED = {
    "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "gfs2",
    "orangefs", "pvfs2", "smb2", "smb3", "smbfs", "wekafs", "fuse.beegfs", "fuse.blobfuse", "fuse.blobfuse2",
    "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.mount-s3", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs",
}  # fmt: skip


def network_file_system(folder: Path) -> str:
    """The file system of `folder`, there or yet to be made, if it is one that hosts share, such as "nfs4"; else ""."""
    there = folder.resolve()
    mounted = {Path(mount.mountpoint): mount.fstype.lower() for mount in psutil.disk_partitions(all=True)}
    kind = next((mounted[path] for path in (there, *there.parents) if path in mounted), "")
    return kind if kind in _SHARED else ""
