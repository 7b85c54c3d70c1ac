"""The annotations by which dfgen finds again what it wrote, beside those of the OCI specification."""

# Of an image manifest and of its entry in the layout: the hash of what the image was built from.
INPUTS = "dev.dfgen.inputs"
# Of an entry in a layout: the full reference that `docker load` gives the image.
IMAGE_NAME = "io.containerd.image.name"
