package com.google.ai.edge.litert

import java.lang.foreign.Arena
import java.lang.foreign.FunctionDescriptor
import java.lang.foreign.Linker
import java.lang.foreign.MemoryLayout
import java.lang.foreign.MemorySegment
import java.lang.foreign.SymbolLookup
import java.lang.foreign.ValueLayout.ADDRESS
import java.lang.foreign.ValueLayout.JAVA_BOOLEAN
import java.lang.foreign.ValueLayout.JAVA_INT
import java.lang.foreign.ValueLayout.JAVA_LONG
import java.lang.invoke.MethodHandle
import java.nio.file.Path

/** LiteRT's C API in the `libLiteRt.so` that the system property `litert.library` names. */
internal object Native {
    private val linker = Linker.nativeLinker()
    private val library = SymbolLookup.libraryLookup(Path.of(System.getProperty("litert.library")), Arena.global())
    private val handles = HashMap<String, MethodHandle>()

    /** Call a function that returns a status: pointers as [MemorySegment] or Long, `size_t` as Long, `int` as Int. */
    fun call(function: String, vararg arguments: Any) {
        val status = handle(function, JAVA_INT, arguments).invokeWithArguments(*arguments) as Int
        if (status != 0) throw LiteRtException("$function failed with status $status")
    }

    /** Call a function that fills in a pointer or a `size_t`, its last argument, and return that. */
    fun create(function: String, vararg arguments: Any): Long = Arena.ofConfined().use { arena ->
        val result = arena.allocate(JAVA_LONG)
        call(function, *arguments, result)
        result.get(JAVA_LONG, 0)
    }

    /** Call a function that returns nothing. */
    fun destroy(function: String, pointer: Long) {
        handle(function, null, arrayOf(pointer)).invokeWithArguments(pointer)
    }

    private fun handle(function: String, result: MemoryLayout?, arguments: Array<out Any>): MethodHandle =
        handles.getOrPut(function) {
            val types = arguments.map(::layoutOf).toTypedArray()
            val descriptor = result?.let { FunctionDescriptor.of(it, *types) } ?: FunctionDescriptor.ofVoid(*types)
            linker.downcallHandle(library.find(function).orElseThrow(), descriptor)
        }

    private fun layoutOf(argument: Any): MemoryLayout = when (argument) {
        is MemorySegment -> ADDRESS
        is Long -> JAVA_LONG // pointers too: on 64-bit machines both are passed alike
        is Int -> JAVA_INT
        is Boolean -> JAVA_BOOLEAN
        else -> throw IllegalArgumentException("no C type for $argument")
    }
}

/** `LiteRtRankedTensorType`: int32 element type, then [LAYOUT_BYTES] of layout. */
internal const val ELEMENT_TYPE_BYTES = 4L

/** `LiteRtLayout`: a word of bit fields, int32 dimensions[8], uint32 strides[8]. */
internal const val LAYOUT_BYTES = 68L
