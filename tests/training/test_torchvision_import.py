"""torchvision works whatever build of torch is beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PARTS_OF_TORCHVISION = """
import sys
from predspace_widgets.training.torchvision_import import import_torchvision
assert "torchvision" not in sys.modules, "our package imports torchvision before anyone asks"
torchvision = import_torchvision()
assert import_torchvision() is torchvision is sys.modules["torchvision"]
import torch
import torchvision.datasets, torchvision.models
from torchvision.transforms import v2
torch.manual_seed(0)
images = torch.rand(2, 3, 40, 40)
transforms = v2.Compose([v2.RandomResizedCrop(32), v2.ColorJitter(0.4, 0.4, 0.4, 0.1), v2.GaussianBlur(3)])
assert transforms(images).shape == (2, 3, 32, 32)
assert torchvision.models.get_model("resnet18", weights=None)(images).shape == (2, 1000)
assert torchvision.datasets.FakeData(size=1)[0][0].size == (224, 224)
print("works")
"""

#: A module of the same name, whose import ends as torchvision's does.
STAND_IN = """
import sys, pathlib
folder = pathlib.Path(FOLDER)
(folder / "torchvision").mkdir()
(folder / "torchvision" / "part.py").write_text("ANSWER = 42")
sys.path.insert(0, str(folder))
from predspace_widgets.training.torchvision_import import import_torchvision
for body in BODIES:
    (folder / "torchvision" / "__init__.py").write_text(body)
    try:
        print(import_torchvision().part.ANSWER)
    except RuntimeError as error:
        print("RuntimeError:", error)
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_datasets_transforms_and_models_work() -> None:
    assert run(PARTS_OF_TORCHVISION) == "works"


def test_every_missing_operator_is_declared_and_no_other_error_hidden(tmp_path: Path) -> None:
    bodies = [
        "raise RuntimeError('no such device')",
        "raise RuntimeError('operator torchvision::hopeless does not exist')",  # also once it is declared
        "import torch, torchvision.part\n"
        "torch.library.register_fake('torchvision::nms')(lambda: None)\n"
        "torch.library.register_fake('torchvision::another')(lambda: None)\n",
    ]
    assert run(f"BODIES, FOLDER = {bodies!r}, {str(tmp_path)!r}\n{STAND_IN}").splitlines() == [
        "RuntimeError: no such device",
        "RuntimeError: operator torchvision::hopeless does not exist",
        "42",
    ]
