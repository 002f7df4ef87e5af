"""Which checkpoints a study's store holds."""


def held(study):
    """The numbers of the trials whose checkpoints are there, and the names of directories that are being copied."""
    root = study.checkpoint(0).parent
    names = [p.name for p in root.iterdir()] if root.exists() else []
    return {int(name) if name.isdigit() else name for name in names}
