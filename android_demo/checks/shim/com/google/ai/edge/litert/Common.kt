package com.google.ai.edge.litert

import java.lang.foreign.MemorySegment

/** As in the Android library, without its status codes. */
class LiteRtException(message: String) : Exception(message)

/** As in the Android library: bits of `LiteRtHwAcceleratorSet`. */
enum class Accelerator(internal val value: Int) { NONE(0), CPU(1), GPU(2), NPU(4) }

/** A native object, closed once. Its address is a Long, as there: Android has no `java.lang.foreign`. */
abstract class JniHandle internal constructor(handle: Long) : AutoCloseable {
    private var isClosed = false

    internal val handle: Long = handle
        get() = field.also { check(!isClosed) { "this ${javaClass.simpleName} was closed" } }

    protected abstract fun destroy()

    final override fun close() {
        if (isClosed) return
        destroy()
        isClosed = true
    }
}

/** The runtime's environment. */
class Environment private constructor(handle: Long) : JniHandle(handle) {
    override fun destroy() = Native.destroy("LiteRtDestroyEnvironment", handle)

    companion object {
        fun create(): Environment = Environment(Native.create("LiteRtCreateEnvironment", 0, MemorySegment.NULL))
    }
}
