"""Fashion-MNIST: pictures of clothes."""

from collections.abc import Mapping
from typing import ClassVar

from sgbench.datasets.idx_images import IdxImages, checksum


class FashionMnist(IdxImages, entry="fashion_mnist"):
    """Loads 70000 grey 28x28 pictures of ten kinds of clothes.

    Source: Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747.
    """

    source: str = "github.com/zalandoresearch/fashion-mnist"
    file_sha256: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }
    sha256: str | None = checksum(file_sha256)
    folder: ClassVar[str] = "fashion_mnist"
    elsewhere: ClassVar[tuple[str, ...]] = ("/usr/share/datasets/fashion-mnist",)
    file_md5: ClassVar[tuple[str, str, str, str]] = (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    )
    served_at: ClassVar[str] = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    by_hand: ClassVar[str] = (
        "or install Debian's package dataset-fashion-mnist, or put the four files of "
        "github.com/zalandoresearch/fashion-mnist into the folder fashion_mnist of the data root"
    )
