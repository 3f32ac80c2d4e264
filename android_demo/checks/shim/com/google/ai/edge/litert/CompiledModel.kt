package com.google.ai.edge.litert

import android.content.res.AssetManager
import java.lang.foreign.Arena
import java.lang.foreign.MemorySegment
import java.lang.foreign.ValueLayout.JAVA_LONG

/** A model loaded for a set of accelerators; names and parameters are those of the Android library. */
class CompiledModel private constructor(
    handle: Long,
    private val model: Long,
    private val environment: Environment,
    private val ownsEnvironment: Boolean,
) : JniHandle(handle) {

    /** Accelerators to run on. */
    class Options(internal vararg val accelerators: Accelerator)

    fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> =
        List(count("Inputs", signatureIndex)) { index ->
            createBuffer("Input", signatureIndex, index) { layout ->
                Native.call(
                    "LiteRtGetCompiledModelInputTensorLayout", handle, signatureIndex.toLong(), index.toLong(), layout,
                )
            }
        }

    fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> {
        val count = count("Outputs", signatureIndex)
        return List(count) { index ->
            createBuffer("Output", signatureIndex, index) { layout ->
                Arena.ofConfined().use { arena ->
                    val all = arena.allocate(LAYOUT_BYTES * count, Int.SIZE_BYTES.toLong())
                    Native.call(
                        "LiteRtGetCompiledModelOutputTensorLayouts",
                        handle, signatureIndex.toLong(), count.toLong(), all, true,
                    )
                    layout.copyFrom(all.asSlice(LAYOUT_BYTES * index, LAYOUT_BYTES))
                }
            }
        }
    }

    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0) {
        Arena.ofConfined().use { arena ->
            Native.call(
                "LiteRtRunCompiledModel",
                handle, signatureIndex.toLong(),
                inputs.size.toLong(), arena.pointers(inputs),
                outputs.size.toLong(), arena.pointers(outputs),
            )
        }
    }

    override fun destroy() {
        Native.destroy("LiteRtDestroyCompiledModel", handle)
        Native.destroy("LiteRtDestroyModel", model)
        if (ownsEnvironment) environment.close()
    }

    private fun signature(index: Int): Long =
        Native.create("LiteRtGetModelSignature", model, index.toLong())

    private fun count(kind: String, signatureIndex: Int): Int =
        Native.create("LiteRtGetNumSignature$kind", signature(signatureIndex)).toInt()

    /** A buffer for a tensor in the shape that the loaded model has: a file may leave the batch open. */
    private fun createBuffer(kind: String, signature: Int, index: Int, readLayout: (MemorySegment) -> Unit) =
        Arena.ofConfined().use { arena ->
            val tensor =
                Native.create("LiteRtGetSignature${kind}TensorByIndex", signature(signature), index.toLong())
            val type = arena.allocate(ELEMENT_TYPE_BYTES + LAYOUT_BYTES, Int.SIZE_BYTES.toLong())
            Native.call("LiteRtGetRankedTensorType", tensor, type)
            readLayout(type.asSlice(ELEMENT_TYPE_BYTES, LAYOUT_BYTES))
            val requirements = Native.create(
                "LiteRtGetCompiledModel${kind}BufferRequirements", handle, signature.toLong(), index.toLong(),
            )
            TensorBuffer(
                Native.create(
                    "LiteRtCreateManagedTensorBufferFromRequirements", environment.handle, type, requirements,
                ),
            )
        }

    private fun Arena.pointers(buffers: List<TensorBuffer>): MemorySegment =
        allocateFrom(JAVA_LONG, *buffers.map { it.handle }.toLongArray())

    companion object {
        @Throws(LiteRtException::class)
        fun create(
            filePath: String,
            options: Options = Options(Accelerator.CPU),
            optionalEnv: Environment? = null,
        ): CompiledModel {
            val environment = optionalEnv ?: Environment.create()
            val model = Arena.ofConfined().use {
                Native.create("LiteRtCreateModelFromFile", environment.handle, it.allocateFrom(filePath))
            }
            val native = Native.create("LiteRtCreateOptions")
            val compiled = try {
                val accelerators = options.accelerators.fold(0) { set, each -> set or each.value }
                Native.call("LiteRtSetOptionsHardwareAccelerators", native, accelerators)
                Native.create("LiteRtCreateCompiledModel", environment.handle, model, native)
            } finally {
                Native.destroy("LiteRtDestroyOptions", native)
            }
            return CompiledModel(compiled, model, environment, ownsEnvironment = optionalEnv == null)
        }

        /** Only for the compiler: a JVM has no assets. */
        @Throws(LiteRtException::class)
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options(Accelerator.CPU),
            optionalEnv: Environment? = null,
        ): CompiledModel =
            throw UnsupportedOperationException("$assetName in $assetManager with $options, $optionalEnv: not on a JVM")
    }
}
