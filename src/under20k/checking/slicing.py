"""Of a block that trains, the statements that make some names."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from under20k.checking.notebook import IMPORTS
from under20k.checking.scopes import FUNCTIONS, changed, outside_functions, scan
from under20k.checking.training import trains

BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match, ast.AsyncFor, ast.AsyncWith)


def reduced(node: ast.stmt, wanted: Iterable[str]) -> ast.stmt | None:
    """Of a block that trains (or the like) the statements that bind or change ``wanted`` and what those need
    from the block; a loop whose variable they do not read becomes its body, once. None if nothing is left.
    """
    try:
        body = _reduced([node], _closed(node, set(wanted)))
    except RecursionError:
        return None
    if not body:
        return None
    if len(body) == 1:
        return body[0]
    # One statement, for one step.
    block = ast.If(ast.copy_location(ast.Constant(True), node), body, [])
    return ast.copy_location(block, node)


def _closed(node: ast.stmt, wanted: set[str]) -> set[str]:
    """``wanted``, and the names from inside the block that making them reads."""
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
            names = scan([node])
            if ((names.binds | set(changed(node))) & wanted and not trains(node)) or isinstance(
                node, ast.Pass
            ):
                kept.append(node)
            continue
        inner = {n: _reduced(getattr(node, n, []), wanted) for n in ("body", "orelse", "finalbody")}
        if isinstance(node, ast.While):
            kept += inner["body"]
        elif isinstance(node, ast.For | ast.AsyncFor):
            targets = scan([node.target]).binds
            reads = scan(inner["body"])
            if not inner["body"] or (targets & wanted and not targets & reads.now):
                continue
            if targets & (reads.now | reads.later):
                kept.append(_with(node, body=inner["body"], orelse=[]))
            else:
                kept += inner["body"]
        elif isinstance(node, ast.Try):
            handlers = [_with(h, body=_reduced(h.body, wanted) or [_pass(h)]) for h in node.handlers]
            imports = [part for part in node.body if isinstance(part, IMPORTS)]
            inside = [part for part in node.body if part in imports or part in inner["body"]] or inner["body"]
            if inside or any(not isinstance(h.body[0], ast.Pass) for h in handlers) or inner["orelse"]:
                parts = {"body": inside or [_pass(node)], "orelse": inner["orelse"]}
                kept.append(
                    _with(
                        node,
                        **parts,
                        handlers=handlers,
                        finalbody=inner["finalbody"] or ([] if handlers else [_pass(node)]),
                    )
                )
        elif isinstance(node, ast.Match):
            cases = [_with(case, body=_reduced(case.body, wanted) or [_pass(node)]) for case in node.cases]
            if any(not isinstance(case.body[0], ast.Pass) for case in cases):
                kept.append(_with(node, cases=cases))
        elif isinstance(node, ast.With | ast.AsyncWith):
            bound = scan([item.optional_vars for item in node.items if item.optional_vars]).binds
            if any(not isinstance(part, ast.Pass) for part in inner["body"]) or bound & wanted:
                kept.append(_with(node, body=inner["body"] or [_pass(node)]))
        elif isinstance(node, ast.If):
            if any(not isinstance(part, ast.Pass) for part in inner["body"] + inner["orelse"]):
                kept.append(_with(node, body=inner["body"] or [_pass(node)], orelse=inner["orelse"]))
    return kept if any(not isinstance(part, ast.Pass) for part in kept) else []


def _with(node, **parts):  # type: ignore[no-untyped-def]
    fields = {n: getattr(node, n) for n in node._fields if hasattr(node, n)} | parts
    return ast.copy_location(type(node)(**fields), node) if hasattr(node, "lineno") else type(node)(**fields)


def _pass(node: ast.AST) -> ast.Pass:
    return ast.copy_location(ast.Pass(), node)
