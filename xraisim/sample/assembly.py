"""Biological assemblies: which atoms are copied by which operators.

The operator expressions of an mmCIF file are expanded here and not by gemmi, which reads a compound
expression such as ``(1-60)(61-88)`` as its first bracket only (60 of 1,680 operators in 1M4X).
"""

import itertools
import math
import re

import gemmi
import numpy as np
from jaxtyping import Float64

from xraisim.core.errors import StructureError

_MOST_OPERATORS = 100_000  # the largest in the archive has 1,680
_SHEAR = 0.01  # of a matrix's rows; files round to six digits

Operator = tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]
Part = tuple[set[str], list[Operator]]  # the chains that its operators copy


def expand_expression(expression: str) -> list[tuple[str, ...]]:
    """Return the operator products of an ``oper_expression``, leftmost factor first.

    ``"1,2"`` gives ``[("1",), ("2",)]``; ``"(1-2)(5)"`` gives ``[("1", "5"), ("2", "5")]``, where
    the operator 5 acts first (mmCIF dictionary, ``_pdbx_struct_assembly_gen.oper_expression``). A
    comma outside brackets lists alternatives: ``"P,(1-2)(5)"`` adds ``("P",)`` to the products.
    """
    text = re.sub(r"[\s'\"]", "", expression)
    products: list[tuple[str, ...]] = []
    for alternative in re.split(r",(?![^()]*\))", text):
        if not re.fullmatch(r"[^()]+|(\([^()]+\))+", alternative):
            raise StructureError(f"cannot read the assembly's operator expression {expression!r}")
        factors = [_expand_list(bracket) for bracket in re.findall(r"[^()]+", alternative)]
        _check_count(math.prod(len(names) for names in factors), expression)
        products += itertools.product(*factors)
    return products


def _check_count(operators: int, expression: str) -> None:
    if operators > _MOST_OPERATORS:
        raise StructureError(
            f"the assembly's operator expression {expression!r} stands for {operators:,} "
            f"operators; expected {_MOST_OPERATORS:,} at most"
        )


def _expand_list(text: str) -> list[str]:
    names: list[str] = []
    for part in text.split(","):
        span = re.fullmatch(r"(\d+)-(\d+)", part)
        if span:
            _check_count(int(span[2]) - int(span[1]) + 1, part)
            names += [str(k) for k in range(int(span[1]), int(span[2]) + 1)]
        elif part:
            names.append(part)
        else:
            raise StructureError(f"empty operator name in the assembly's expression {text!r}")
    return names


def from_mmcif(block: gemmi.cif.Block, name: str) -> list[Part]:
    """Return ``(label chains, operators)`` of every part of assembly ``name`` in an mmCIF block."""
    operators = _operator_table(block)
    table = block.find(
        "_pdbx_struct_assembly_gen.", ["assembly_id", "oper_expression", "asym_id_list"]
    )
    rows = [[gemmi.cif.as_string(cell) for cell in row] for row in table]
    _check_known(name, [row[0] for row in rows])
    parts = []
    for assembly, expression, chains in rows:
        if assembly == name:
            products = [_compose(names, operators) for names in expand_expression(expression)]
            parts.append((set(chains.replace(" ", "").split(",")), products))
    return parts


def from_pdb(structure: gemmi.Structure, name: str) -> list[Part]:
    """Return ``(chains, operators)`` of each part of assembly ``name`` of a PDB file."""
    _check_known(name, [assembly.name for assembly in structure.assemblies])
    found = [assembly for assembly in structure.assemblies if assembly.name == name]
    if len(found) > 1:
        raise StructureError(f"the file describes the assembly {name!r} {len(found)} times")
    return [
        (set(part.chains), [_as_arrays(op.transform) for op in part.operators])
        for part in found[0].generators
    ]


def _as_arrays(transform: gemmi.Transform) -> Operator:
    return _rigid(np.array(transform.mat.tolist()), np.array(transform.vec.tolist()))


def _rigid(matrix: Float64[np.ndarray, "3 3"], vector: Float64[np.ndarray, "3"]) -> Operator:
    """Return the operator; raises :class:`StructureError` unless it turns and shifts alone."""
    values = [*matrix.reshape(-1), *vector]
    if not np.isfinite(values).all() or np.abs(matrix @ matrix.T - np.eye(3)).max() > _SHEAR:
        raise StructureError(
            f"an operator of the assembly is not a rotation and a shift: {matrix.tolist()}, "
            f"{vector.tolist()}; the file is damaged"
        )
    return matrix, vector


def _check_known(name: str, known: list[str]) -> None:
    if name not in known:
        listed = ", ".join(dict.fromkeys(known)) or "none"
        raise StructureError(
            f"the file describes no biological assembly {name!r}; it has: {listed}. "
            "Leave the assembly out to use the atoms as deposited"
        )


def _operator_table(block: gemmi.cif.Block) -> dict[str, Operator]:
    columns = ["id"]
    columns += [f"matrix[{i}][{j}]" for i in (1, 2, 3) for j in (1, 2, 3)]
    columns += [f"vector[{i}]" for i in (1, 2, 3)]
    table = {}
    for row in block.find("_pdbx_struct_oper_list.", columns):
        values = np.array([gemmi.cif.as_number(row[k]) for k in range(1, 13)])
        table[gemmi.cif.as_string(row[0])] = _rigid(values[:9].reshape(3, 3), values[9:])
    return table


def _compose(names: tuple[str, ...], operators: dict[str, Operator]) -> Operator:
    matrix, vector = np.eye(3), np.zeros(3)
    for name in reversed(names):
        if name not in operators:
            raise StructureError(f"the assembly uses operator {name!r}, which the file lacks")
        factor, shift = operators[name]
        matrix, vector = factor @ matrix, factor @ vector + shift
    return matrix, vector
