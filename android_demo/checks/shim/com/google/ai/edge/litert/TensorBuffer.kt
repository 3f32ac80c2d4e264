package com.google.ai.edge.litert

import java.lang.foreign.Arena
import java.lang.foreign.MemorySegment
import java.lang.foreign.ValueLayout.ADDRESS
import java.lang.foreign.ValueLayout.JAVA_BYTE
import java.lang.foreign.ValueLayout.JAVA_FLOAT
import java.lang.foreign.ValueLayout.JAVA_LONG

/** Memory of one input or output; the methods are those of the Android library. */
class TensorBuffer internal constructor(handle: Long) : JniHandle(handle) {

    fun writeInt8(data: ByteArray): Unit = write(MemorySegment.ofArray(data))

    fun writeFloat(data: FloatArray): Unit = write(MemorySegment.ofArray(data))

    fun readInt8(): ByteArray = locked(READ) { it.toArray(JAVA_BYTE) }

    fun readFloat(): FloatArray = locked(READ) { it.toArray(JAVA_FLOAT) }

    override fun destroy() = Native.destroy("LiteRtDestroyTensorBuffer", handle)

    private fun write(data: MemorySegment): Unit = locked(WRITE) {
        if (data.byteSize() != it.byteSize()) {
            throw LiteRtException("${data.byteSize()} bytes for a tensor buffer of ${it.byteSize()}")
        }
        it.copyFrom(data)
    }

    private fun <T> locked(mode: Int, use: (MemorySegment) -> T): T = Arena.ofConfined().use { arena ->
        val (size, address) = arena.allocate(JAVA_LONG) to arena.allocate(ADDRESS)
        Native.call("LiteRtGetTensorBufferPackedSize", handle, size)
        Native.call("LiteRtLockTensorBuffer", handle, address, mode)
        try {
            use(address.get(ADDRESS, 0).reinterpret(size.get(JAVA_LONG, 0)))
        } finally {
            Native.call("LiteRtUnlockTensorBuffer", handle)
        }
    }

    private companion object {
        const val READ = 0 // kLiteRtTensorBufferLockModeRead
        const val WRITE = 1
    }
}
