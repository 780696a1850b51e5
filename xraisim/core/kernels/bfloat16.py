"""A numba intrinsic that sums numbers stored in 16 bits, four of them in one instruction."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FLOATS, _INTS = ir.VectorType(ir.FloatType(), 4), ir.VectorType(ir.IntType(32), 4)
_FOUR = ir.VectorType(ir.IntType(16), 4).as_pointer()
_FAST = ("fast",)


@intrinsic
def weighted_sum(typing_context, array, x, y, z, wx, wy, wz):
    """Return Σ wx[i]·wy[j]·wz[k]·array[x[i] + y[j] + z + k] over i, j < 3 and k < 4, float32.

    ``array``: bfloat16 numbers, which are the upper halves of float32 ones, as uint16. ``x``,
    ``y``, ``z``: int64, with x[i] + y[j] + z a multiple of 4; not checked. Weights: float32.
    """

    def generate(context, builder, signature, arguments):
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0]).data
        x, y, wx, wy, wz = (cgutils.unpack_tuple(builder, arguments[i]) for i in (1, 2, 4, 5, 6))
        planes = []
        for start in x:
            at = [builder.add(builder.add(start, j), arguments[3]) for j in y]
            planes.append(_total(builder, [_four(builder, data, index) for index in at], wy))
        lanes = _total(builder, planes, wx)
        terms = [builder.extract_element(lanes, ir.IntType(32)(k)) for k in range(4)]
        return _total(builder, terms, wz)

    return types.float32(array, x, y, z, wx, wy, wz), generate


def _four(builder, data, index):
    """Return four neighbours as a vector of float32."""
    halves = builder.load(builder.bitcast(builder.gep(data, [index]), _FOUR), align=8)
    words = builder.shl(builder.zext(halves, _INTS), ir.Constant(_INTS, [16] * 4))
    return builder.bitcast(words, _FLOATS)


def _total(builder, values, weights):
    """Return the weighted sum of vectors or of numbers."""
    products = [
        builder.fmul(value, _like(builder, weight, value.type), flags=_FAST)
        for value, weight in zip(values, weights, strict=True)
    ]
    total = products[0]
    for product in products[1:]:
        total = builder.fadd(total, product, flags=_FAST)
    return total


def _like(builder, number, kind):
    """Return a number, or a vector of it where ``kind`` is one."""
    if not isinstance(kind, ir.VectorType):
        return number
    vector = ir.Constant(kind, ir.Undefined)
    for lane in range(kind.count):
        vector = builder.insert_element(vector, number, ir.IntType(32)(lane))
    return vector
