"""A numba intrinsic that asks the processor for data before it is needed."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_READ, _KEEP, _DATA = 0, 3, 1  # arguments of LLVM's llvm.prefetch


@intrinsic
def prefetch(typing_context, array, index):
    """Start loading the cache line of ``array[index]``; any index is harmless."""

    def generate(context, builder, signature, arguments):
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        int32 = ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, int32, int32, int32])
        function = cgutils.get_or_insert_function(builder.module, form, "llvm.prefetch.p0")
        builder.call(function, [address, int32(_READ), int32(_KEEP), int32(_DATA)])
        return context.get_dummy_value()

    return types.void(array, index), generate
