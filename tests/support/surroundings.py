"""What surrounds a model in the files that students hand in."""

from __future__ import annotations

from dataclasses import dataclass

NET = """
import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 4, 6, stride=2)
        self.bn = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 10, 12)

    def forward(self, x):
        x = F.dropout(F.relu(self.bn(self.a(x))), 0.1, self.training)
        return self.b(x).mean((2, 3))


model = Net()
"""
# 4·36 + 4 + 8 + 4·10·144 + 10
PARAMETERS = 5926

IMPORTS = {
    "torchvision": "import torchvision\nfrom torchvision import datasets, models, transforms, utils",
    "torchvision.datasets": "from torchvision.datasets import MNIST\nimport torchvision.transforms as T",
    "torchvision.v2": "from torchvision.transforms import v2",
    "pandas": "import pandas as pd",
    "sklearn": "from sklearn.metrics import confusion_matrix\nfrom sklearn.model_selection import KFold",
    "seaborn": "import seaborn as sns",
    "lightning": "import lightning as L\nfrom lightning.pytorch.callbacks import ModelCheckpoint",
    "torchmetrics": "import torchmetrics\nfrom torchmetrics.classification import MulticlassAccuracy",
    "timm": "import timm",
    "requests": "import requests",
    "psutil": "import psutil",
    "wandb": "import wandb",
    "tensorboard": "from torch.utils.tensorboard import SummaryWriter",
    "torchsummary": "from torchsummary import summary",
    "torchinfo": "from torchinfo import summary",
    "matplotlib": "import matplotlib.pyplot as plt",
    "tqdm": "from tqdm.auto import tqdm",
    "scipy": "from scipy import ndimage, stats",
    "PIL": "from PIL import Image, ImageDraw, ImageFont",
    "dynamo": "import torch._dynamo",
    "optim": "import torch.optim as optim\nfrom torch.optim.lr_scheduler import StepLR",
    "data": "from torch.utils.data import DataLoader, Dataset, random_split\nimport torch.multiprocessing",
    "distributed": "import torch.distributed as dist\nfrom torch.nn.parallel import DistributedDataParallel",
}
"""What a file imports, by the package."""


@dataclass(frozen=True)
class Surrounding:
    """Statements beside a model."""

    name: str
    text: str
    """After the model; before it where ``before``."""
    stops: str = ""
    """The text of the line that cannot run there; of those that can, the whole file is judged."""
    before: bool = False
    parameters: int = PARAMETERS
    model: str = "Net"

    def source(self) -> str:
        """The file."""
        return f"{self.text}\n{NET}" if self.before else f"{NET}\n{self.text}\n"

    def line(self) -> int:
        """Of what stops the file."""
        (found,) = [n for n, line in enumerate(self.source().splitlines(), 1) if self.stops in line]
        return found


def runs(name: str, text: str, **more: object) -> Surrounding:
    """Nothing in it is stopped."""
    return Surrounding(name, text, **more)


def stops(name: str, text: str, at: str = "", **more: object) -> Surrounding:
    """It is stopped, by default in its last line."""
    return Surrounding(name, text, at or text.strip().splitlines()[-1], **more)


SURROUNDINGS = (
    # optimisers
    runs("sgd", "opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)"),
    runs("adam", "import torch.optim as optim\nopt = optim.Adam(model.parameters(), lr=1e-3)"),
    runs("adamw_fused", "opt = torch.optim.AdamW(model.parameters(), fused=True)"),
    runs(
        "scheduler",
        "from torch.optim.lr_scheduler import OneCycleLR, StepLR\n"
        "opt = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "sched = StepLR(opt, 6, 0.1)\n"
        "one = OneCycleLR(opt, max_lr=0.1, epochs=15, steps_per_epoch=938)\n"
        "plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(opt)",
    ),
    runs("swa", "from torch.optim.swa_utils import AveragedModel, SWALR\naveraged = AveragedModel(model)"),
    runs(
        "steps",
        "opt = torch.optim.Adam(model.parameters())\n"
        "for step in range(3):\n"
        "    opt.zero_grad()\n"
        "    loss = F.cross_entropy(model(torch.randn(4, 1, 28, 28)), torch.randint(10, (4,)))\n"
        "    loss.backward()\n"
        "    opt.step()\n"
        "    print(step, loss.item())",
    ),
    # compiled code
    runs("compile", "fast = torch.compile(model)"),
    runs("compile_run", "fast = torch.compile(model)\nfast(torch.randn(2, 1, 28, 28))"),
    runs("compile_instance", "model = torch.compile(Net())"),
    runs("compile_function", "@torch.compile\ndef loss(x):\n    return x.mean()"),
    runs("jit_trace", "traced = torch.jit.trace(model.eval(), torch.randn(1, 1, 28, 28))"),
    runs("jit_script", "scripted = torch.jit.script(nn.ReLU())"),
    runs("fx", "from torch import fx\ngraph = fx.symbolic_trace(nn.Linear(3, 3))"),
    # temporary files
    runs("gettempdir", "import tempfile\nscratch = tempfile.gettempdir()"),
    stops("mkstemp", "import tempfile\nhandle, path = tempfile.mkstemp(dir='.')"),
    # files
    stops("logging", "import logging\nlogging.basicConfig(filename='train.log')"),
    runs("logging_stderr", "import logging\nlogging.basicConfig(level=logging.INFO)\nlogging.info('hello')"),
    stops("mkdir", "from pathlib import Path\nPath('runs').mkdir()"),
    stops("makedirs", "import os\nos.makedirs('checkpoints/best', exist_ok=True)"),
    stops("write", "with open('log.txt', 'w') as log:\n    log.write('epoch 1')", at="open("),
    stops("write_text", "from pathlib import Path\nPath('log.txt').write_text('epoch 1')"),
    stops("stdout", "import sys\nsys.stdout = open('out.txt', 'w')"),
    stops("torch_save", "torch.save(model.state_dict(), 'mnist_cnn.pt')"),
    stops(
        "torch_save_file", "with open('m.pt', 'wb') as f:\n    torch.save(model.state_dict(), f)", at="open("
    ),
    stops(
        "safetensors",
        "from safetensors.torch import save_file\nsave_file(model.state_dict(), 'm.safetensors')",
    ),
    stops("numpy_save", "import numpy as np\nnp.save('losses.npy', np.zeros(3))"),
    stops("pickle", "import pickle\npickle.dump([1], open('p.pkl', 'wb'))"),
    stops("remove", "import os\nos.remove('good.txt')"),
    stops("rmtree", "import shutil\nshutil.rmtree('data')"),
    stops("rename", "import os\nos.rename('good.txt', 'bad.txt')"),
    stops("csv", "import csv\nwriter = csv.writer(open('log.csv', 'w'))"),
    stops("chdir", "import os\nos.chdir('/content/drive/MyDrive')"),
    stops("missing_file", "config = open('/content/config.json').read()"),
    stops("missing_weights", "model.load_state_dict(torch.load('weights/none.pth'))"),
    runs("own_source", "import inspect\nsource = open(__file__).read()\ntext = inspect.getsource(Net)"),
    runs("own_data", "text = open('good.txt').read()"),
    runs("listing", "import os, glob\nnames = os.listdir('.') + glob.glob('*.pth')\nos.path.exists('x')"),
    runs("copes", "import os\ntry:\n    os.makedirs('runs')\nexcept OSError:\n    pass"),
    runs(
        "copes_any",
        "try:\n    torch.save(model.state_dict(), 'm.pt')\nexcept Exception as error:\n    print(error)",
    ),
    runs("suppress", "import contextlib, os\nwith contextlib.suppress(OSError):\n    os.remove('good.txt')"),
    runs("atexit", "import atexit\natexit.register(lambda: open('bye.txt', 'w'))"),
    # what asks
    stops(
        "argparse",
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--data', required=True)\n"
        "args = parser.parse_args()",
    ),
    runs(
        "argparse_defaults",
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float, default=0.1)\n"
        "args = parser.parse_args()\nprint(args.lr)",
    ),
    stops("input", "epochs = int(input('epochs? '))"),
    stops("stdin", "import sys\nepochs = int(sys.stdin.readline())"),
    stops("argv", "import sys\nepochs = int(sys.argv[1])"),
    stops("pdb", "import pdb\npdb.set_trace()\nx = 1"),
    stops("exit", "import sys\nsys.exit(0)"),
    stops("quit", "quit()"),
    stops("raise", "raise SystemExit"),
    stops("interrupt", "raise KeyboardInterrupt"),
    stops("assertion", "assert torch.cuda.is_available(), 'give me a GPU'"),
    # GPUs
    runs("device", "device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')\nmodel.to(device)"),
    runs("kwargs", "kwargs = {'num_workers': 1, 'pin_memory': True} if torch.cuda.is_available() else {}"),
    runs("model_cuda", "model = model.cuda()"),
    runs("model_to_cuda", "model = Net().to('cuda')"),
    runs("tensor_cuda", "x = torch.randn(2, 1, 28, 28).cuda()"),
    stops("cuda_name", "print(torch.cuda.get_device_name(0))"),
    runs("cuda_calls", "torch.cuda.empty_cache()\nprint(torch.cuda.device_count())"),
    runs("parallel", "model = nn.DataParallel(model)"),
    runs(
        "amp",
        "with torch.autocast('cpu'):\n    model(torch.randn(2, 1, 28, 28))",
    ),
    stops("mps", "model = model.to('mps')"),
    runs("default_device", "import torch\ntorch.set_default_device('cpu')", before=True),
    runs("default_device_any", "torch.set_default_device('cuda' if torch.cuda.is_available() else 'cpu')"),
    # data
    stops(
        "mnist_download",
        "from torchvision import datasets, transforms\n"
        "train = datasets.MNIST('../data', train=True, download=True, transform=transforms.ToTensor())",
        before=True,
    ),
    stops(
        "mnist_missing",
        "from torchvision import datasets, transforms\n"
        "test = datasets.MNIST('/content/none', train=False, transform=transforms.ToTensor())",
        before=True,
    ),
    stops(
        "mnist_loader",
        "import torch\nimport torchvision\n"
        "loader = torch.utils.data.DataLoader(\n"
        "    torchvision.datasets.FashionMNIST('data', download=True),\n"
        "    batch_size=64, shuffle=True)",
        at="FashionMNIST(",
        before=True,
    ),
    runs(
        "transforms",
        "from torchvision import transforms\n"
        "train = transforms.Compose([transforms.RandomRotation((-7.0, 7.0)), transforms.ToTensor(),\n"
        "                            transforms.Normalize((0.1307,), (0.3081,))])",
        before=True,
    ),
    runs("resnet", "import torchvision.models as models\nresnet = models.resnet18()"),
    stops("resnet_weights", "from torchvision import models\nresnet = models.resnet18(weights='DEFAULT')"),
    stops(
        "save_image",
        "from torchvision.utils import save_image\nsave_image(torch.rand(4, 1, 28, 28), 'x.png')",
    ),
    runs("make_grid", "from torchvision.utils import make_grid\nmake_grid(torch.rand(4, 1, 28, 28))"),
    runs(
        "loader",
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "data = TensorDataset(torch.randn(8, 1, 28, 28), torch.zeros(8))\n"
        "loader = DataLoader(data, batch_size=4, shuffle=True)\nnext(iter(loader))",
    ),
    runs(
        "loader_workers_unused",
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "loader = DataLoader(TensorDataset(torch.zeros(8)), num_workers=1, pin_memory=True)",
    ),
    stops(
        "loader_workers",
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "loader = DataLoader(TensorDataset(torch.zeros(8)), batch_size=4, num_workers=1)\n"
        "for batch in loader:\n    print(batch)",
        at="for batch",
    ),
    stops("read_csv", "import pandas as pd\nframe = pd.read_csv('train.csv')"),
    runs("dataframe", "import pandas as pd\npd.DataFrame({'loss': [1.0, 0.5]}).describe()"),
    runs("digits", "from sklearn.datasets import load_digits\ndigits = load_digits()"),
    stops(
        "openml", "from sklearn.datasets import fetch_openml\nX = fetch_openml('mnist_784', as_frame=False)"
    ),
    runs("confusion", "from sklearn.metrics import confusion_matrix\nconfusion_matrix([0, 1], [0, 1])"),
    # the network
    stops("requests", "import requests\nrequests.get('https://digits.invalid/x')"),
    stops(
        "urlretrieve", "import urllib.request\nurllib.request.urlretrieve('https://digits.invalid/x', 'x')"
    ),
    stops("hub", "torch.hub.load('pytorch/vision', 'resnet18')"),
    stops("socket", "import socket\nsocket.create_connection(('192.0.2.1', 80))"),
    runs("hostname", "import getpass, platform, socket\nprint(socket.gethostname(), platform.platform())"),
    # records
    stops(
        "tensorboard",
        "from torch.utils.tensorboard import SummaryWriter\nwriter = SummaryWriter('runs/mnist')",
    ),
    stops("savefig", "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('loss.png')"),
    runs("show", "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('loss')\nplt.show()"),
    runs("style", "import matplotlib.pyplot as plt\nplt.style.use('ggplot')\nfig, ax = plt.subplots(3, 2)"),
    runs("seaborn", "import seaborn as sns\nsns.set_theme()\nsns.heatmap([[1, 2], [3, 4]])"),
    stops("wandb", "import wandb\nwandb.init(project='mnist')"),
    runs("psutil", "import psutil\nprint(psutil.virtual_memory().percent, psutil.cpu_count())"),
    runs("torchsummary", "from torchsummary import summary\nsummary(model, (1, 28, 28), device='cpu')"),
    runs("torchinfo", "from torchinfo import summary\nprint(summary(model, input_size=(1, 1, 28, 28)))"),
    runs("tqdm", "from tqdm import tqdm\nfor epoch in tqdm(range(2), desc='epoch'):\n    pass"),
    runs("tqdm_auto", "from tqdm.auto import tqdm, trange\nfor epoch in trange(2):\n    pass"),
    runs(
        "torchmetrics",
        "import torchmetrics\naccuracy = torchmetrics.Accuracy(task='multiclass', num_classes=10)",
    ),
    runs("timm", "import timm\nother = timm.create_model('resnet18', num_classes=10)"),
    runs("lightning_seed", "import lightning as L\nL.seed_everything(1)"),
    # processes
    stops(
        "pip",
        "import os\nif os.system('pip install torchsummary'):\n    raise ImportError('no pip')",
        at="os.system(",
    ),
    stops("pip_unasked", "import os\nos.system('pip install torchsummary')"),
    stops("subprocess", "import subprocess\nsubprocess.run(['nvidia-smi'], check=True)"),
    runs("get_ipython", "get_ipython().system('pip install torchsummary')"),
    stops("fork", "import os\npid = os.fork()"),
    stops("pool", "import multiprocessing\npool = multiprocessing.Pool(2)"),
    stops("spawn", "import torch.multiprocessing as mp\nmp.spawn(print, nprocs=2)"),
    runs("start_method", "import torch.multiprocessing as mp\nmp.set_start_method('spawn', force=True)"),
    stops("process_group", "import torch.distributed as dist\ndist.init_process_group('gloo')"),
    runs(
        "thread", "import threading\nthread = threading.Thread(target=print)\nthread.start()\nthread.join()"
    ),
    runs("threads", "torch.set_num_threads(2)\ntorch.set_num_interop_threads(1)"),
    # settings
    runs("warnings_error", "import warnings\nwarnings.filterwarnings('error')", before=True),
    runs("warnings_ignore", "import warnings\nwarnings.filterwarnings('ignore')"),
    runs(
        "seeds",
        "import os, random\nimport numpy as np\nimport torch\n"
        "random.seed(1)\nnp.random.seed(1)\ntorch.manual_seed(1)\n"
        "torch.cuda.manual_seed_all(1)\ntorch.backends.cudnn.deterministic = True\n"
        "torch.backends.cudnn.benchmark = False\nos.environ['PYTHONHASHSEED'] = '1'",
        before=True,
    ),
    runs("deterministic", "import torch\ntorch.use_deterministic_algorithms(True)", before=True),
    runs("anomaly", "import torch\ntorch.autograd.set_detect_anomaly(True)", before=True),
    runs("no_grad", "import torch\ntorch.set_grad_enabled(False)", before=True),
    runs("inference", "with torch.inference_mode():\n    model.eval()(torch.randn(2, 1, 28, 28))"),
    runs(
        "precision",
        "import torch\ntorch.set_float32_matmul_precision('high')\ntorch.set_printoptions(4)",
        before=True,
    ),
    runs(
        "environment",
        "import os\nos.environ['KMP_DUPLICATE_LIB_OK'] = 'True'\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'",
    ),
    runs("signal", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)"),
    runs("recursion", "import sys\nsys.setrecursionlimit(10_000)"),
    runs(
        "gc",
        "import gc, copy, pickle\nbest = copy.deepcopy(model)\npickle.dumps(model.state_dict())",
    ),
    # notebooks saved as files
    stops("colab", "from google.colab import drive\ndrive.mount('/content/drive')", at="from google"),
    stops("ipython", "from IPython.display import clear_output\nclear_output()", at="from IPython"),
    stops("memory", "much = torch.zeros(10**13)"),
)
