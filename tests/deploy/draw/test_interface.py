"""What the page shows of a network: its layers, the sum behind a number, evidence, comparison and film."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.support.drawing_page import PHONE, Paper
from under20k.deploy.model import load
from under20k.recipe.named import find_recipe


def numbers_in(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+\.\d+", text.replace("−", "-"))]
