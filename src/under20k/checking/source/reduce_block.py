"""Reduce a block that trains to the statements that make some names."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TypeVar

from under20k.checking.source.names import changed, scan
from under20k.checking.source.syntax import FUNCTIONS, IMPORTS, outside_functions
from under20k.checking.source.training_calls import goes_through_data, trains

BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match, ast.AsyncFor, ast.AsyncWith)
N = TypeVar("N", bound=ast.AST)


def reduced(node: ast.stmt, wanted: Iterable[str]) -> ast.stmt | None:
    """Reduce a block that trains to the statements that bind or change ``wanted``, and those they need.

    A loop whose variable they do not read becomes its body, once. None if nothing is left.
    """
    try:
        body = _reduced([node], _closed(node, set(wanted)))
    except RecursionError:
        return None
    if not body:
        return None
    if len(body) == 1:
        return body[0]
    # A single statement, since a step runs one.
    block = ast.If(ast.copy_location(ast.Constant(True), node), body, [])
    return ast.copy_location(block, node)


def _closed(node: ast.stmt, wanted: set[str]) -> set[str]:
    """Return ``wanted`` and the names inside the block that making them reads."""
    parts = [part for part in outside_functions(node) if isinstance(part, ast.stmt) and not _bodies(part)]
    known = [(scan([part]), set(changed(part))) for part in parts]
    while True:
        more = set(wanted)
        for part, (names, changes) in zip(parts, known, strict=True):
            if (names.binds | changes) & wanted and not trains(part):
                more |= names.now | names.later
        if more == wanted:
            return wanted
        wanted = more


def _bodies(node: ast.AST) -> list[str]:
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return []
    return [
        n
        for n in ("body", "orelse", "finalbody", "handlers", "cases")
        if isinstance(getattr(node, n, None), list)
    ]


def _reduced(body: Iterable[ast.stmt], wanted: set[str]) -> list[ast.stmt]:
    kept: list[ast.stmt] = []
    for node in body:
        if not _bodies(node):
            if (scan([node]).binds | set(changed(node))) & wanted and not trains(node):
                kept.append(node)
            continue
        inner = {n: _reduced(getattr(node, n, []), wanted) for n in ("body", "orelse", "finalbody")}
        if isinstance(node, ast.While):
            kept += inner["body"]
        elif isinstance(node, ast.For | ast.AsyncFor):
            targets = scan([node.target]).binds
            reads = scan(inner["body"])
            if targets & (wanted | reads.now | reads.later) and (
                inner["body"] or not goes_through_data(node)
            ):
                kept.append(_with(node, body=inner["body"] or [_pass(node)], orelse=[]))
            else:
                kept += inner["body"]
        elif isinstance(node, ast.Try):
            handlers = [_with(h, body=_reduced(h.body, wanted) or [_pass(h)]) for h in node.handlers]
            handled = any(not isinstance(h.body[0], ast.Pass) for h in handlers)
            if not (inner["body"] or handled or inner["orelse"] or inner["finalbody"]):
                continue
            # The handlers are for imports that fail.
            body = [
                kept
                for part in node.body
                for kept in ([part] if isinstance(part, IMPORTS) else _reduced([part], wanted))
            ]
            last = inner["finalbody"] or ([] if handlers else [_pass(node)])
            orelse = inner["orelse"] if handlers else []
            body = [*(body or [_pass(node)]), *([] if handlers else inner["orelse"])]
            kept.append(_with(node, body=body, orelse=orelse, handlers=handlers, finalbody=last))
        elif isinstance(node, ast.Match):
            cases = [_with(case, body=_reduced(case.body, wanted) or [_pass(node)]) for case in node.cases]
            if any(not isinstance(case.body[0], ast.Pass) for case in cases):
                kept.append(_with(node, cases=cases))
        elif isinstance(node, ast.With | ast.AsyncWith):
            bound = scan([item.optional_vars for item in node.items if item.optional_vars]).binds
            if inner["body"] or bound & wanted:
                kept.append(_with(node, body=inner["body"] or [_pass(node)]))
        elif isinstance(node, ast.If) and inner["body"] + inner["orelse"]:
            kept.append(_with(node, body=inner["body"] or [_pass(node)], orelse=inner["orelse"]))
    return kept


def _with(node: N, **parts: object) -> N:
    """Return the node with some of its fields replaced."""
    fields = {n: getattr(node, n) for n in node._fields if hasattr(node, n)} | parts
    return ast.copy_location(type(node)(**fields), node)


def _pass(node: ast.AST) -> ast.Pass:
    return ast.copy_location(ast.Pass(), node)
