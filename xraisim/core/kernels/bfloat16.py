"""A numba intrinsic that looks a quadratic B-spline up in numbers stored in 16 bits.

Sixteen of them are multiplied and added by a few instructions of the processor's widest unit.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(_FLOAT, 8), ir.VectorType(_INT, 8)
_FAST = ("fast",)


@intrinsic
def spline_sum(typing_context, array, near, far, x, y, z):
    """Return Σ w(x − i)·w(y − j)·w(z − k)·c[i, j, k] over i, j, k < 4 (float32), w the B-spline.

    ``array``: bfloat16 numbers, which are the upper halves of float32 ones, as uint16.
    c[i, j, k] is number 16 i + 4 j + k from ``near`` on, and 16 (i − 2) + 4 j + k from ``far`` on
    for i > 1; both int64 and multiples of 32, not checked. ``x``, ``y``, ``z``: float32, of which
    each is at least ½ and less than 2½, so that one weight per axis is 0.
    """

    def generate(context, builder, signature, arguments):
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0]).data
        along_x = _weights(builder, arguments[3], arguments[3])
        along_yz = _weights(builder, arguments[4], arguments[5])
        even = odd = ir.Constant(_FLOATS, [0.0] * 8)
        for i in range(4):
            at = builder.add(arguments[1 + i // 2], ir.IntType(64)(16 * (i % 2)))
            pair = builder.load(
                builder.bitcast(builder.gep(data, [at]), _INTS.as_pointer()), align=32
            )
            weight = _shuffle(builder, along_x, [i] * 8)
            even = _add(builder, even, _upper(builder, builder.shl(pair, _all(16))), weight)
            odd = _add(builder, odd, _upper(builder, builder.and_(pair, _all(0xFFFF0000))), weight)
        along_y = _shuffle(builder, along_yz, [0, 0, 1, 1, 2, 2, 3, 3])
        total = ir.Constant(_FLOATS, [0.0] * 8)
        for lanes, first in ((even, 4), (odd, 5)):
            along_z = _shuffle(builder, along_yz, [first, first + 2] * 4)
            total = _add(builder, total, lanes, builder.fmul(along_y, along_z, flags=_FAST))
        form = ir.FunctionType(_FLOAT, [_FLOAT, _FLOATS])
        reduce = _function(builder, "llvm.vector.reduce.fadd.v8f32", form)
        return builder.call(reduce, [_FLOAT(0.0), total], fastmath=_FAST)

    return types.float32(array, near, far, x, y, z), generate


def _weights(builder, first, second):
    """Return w(first − k) for k < 4, then w(second − k), in eight lanes.

    The quadratic B-spline without branches: 2 w(t) = (1½ − |t|)₊² − 3 (½ − |t|)₊².
    """
    vector = ir.Constant(_FLOATS, ir.Undefined)
    for lane in range(8):
        vector = builder.insert_element(vector, (first, second)[lane // 4], _INT(lane))
    steps = ir.Constant(_FLOATS, [0.0, 1.0, 2.0, 3.0] * 2)
    absolute = _function(builder, "llvm.fabs.v8f32", ir.FunctionType(_FLOATS, [_FLOATS]))
    distance = builder.call(absolute, [builder.fsub(vector, steps, flags=_FAST)])
    total = None
    for edge, factor in ((1.5, 0.5), (0.5, -1.5)):
        inside = builder.fsub(_real(edge), distance, flags=_FAST)
        inside = builder.select(builder.fcmp_ordered(">", inside, _real(0.0)), inside, _real(0.0))
        square = builder.fmul(inside, inside, flags=_FAST)
        term = builder.fmul(square, _real(factor), flags=_FAST)
        total = term if total is None else builder.fadd(total, term, flags=_FAST)
    return total


def _add(builder, total, values, weights):
    """Return ``total`` + ``values`` · ``weights``."""
    return builder.fadd(total, builder.fmul(values, weights, flags=_FAST), flags=_FAST)


def _upper(builder, words):
    return builder.bitcast(words, _FLOATS)


def _shuffle(builder, vector, lanes):
    return builder.shuffle_vector(
        vector, ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_INTS, lanes)
    )


def _all(number):
    return ir.Constant(_INTS, [number] * 8)


def _real(number):
    return ir.Constant(_FLOATS, [number] * 8)


def _function(builder, name, form):
    return cgutils.get_or_insert_function(builder.module, form, name)
