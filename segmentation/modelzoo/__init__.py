"""Models as packages of the bioimage.io model zoo, for other programs and from them (needs torch).

`write_package(segmentation.load("nuclei-2d"), "nuclei.zip", test_image=image, name="nuclei 2d", license="CC-BY-4.0")` writes one,
`read_package("nuclei.zip").predict(image)` uses one. `load` takes packages, files of our own and the names of shipped models.
"""

from segmentation.modelzoo.reading import load as load
from segmentation.modelzoo.reading import read_package as read_package
from segmentation.modelzoo.writing import write_package as write_package
