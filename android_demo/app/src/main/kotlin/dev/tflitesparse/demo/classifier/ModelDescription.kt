package dev.tflitesparse.demo.classifier

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Mapping of a tensor's integers to real numbers, which the runtime's API does not provide. */
data class Quantisation(val scale: Float, val zeroPoint: Int) {

    /** `round(value / scale) + zero point`, half to even as in Python, clipped to int8. */
    fun quantise(value: Float): Byte {
        val steps = Math.rint((value / scale).toDouble()) + zeroPoint
        return steps.coerceIn(Byte.MIN_VALUE.toDouble(), Byte.MAX_VALUE.toDouble()).toInt().toByte()
    }

    /** `(value - zero point) * scale`. */
    fun dequantise(value: Byte): Float = (value - zeroPoint) * scale
}

/**
 * An input or output of a model.
 *
 * @property shape without the batch, for example 28, 28, 1.
 * @property quantisation null: the tensor is float32; else it is int8.
 */
data class TensorDescription(val shape: List<Int>, val quantisation: Quantisation?) {

    /** Number of values of one sample. */
    val size: Int = shape.fold(1, Int::times)

    /** For example `28 x 28 x 1`. */
    override fun toString(): String = shape.joinToString(" x ")
}

/**
 * Description of a model, read from its `.tflite` file.
 *
 * @property labels names of the classes, empty if the file has none.
 * @property inputRange smallest and largest value that the model was calibrated with, null if the file does not say.
 */
data class ModelDescription(
    val input: TensorDescription,
    val output: TensorDescription,
    val labels: List<String>,
    val inputRange: ClosedFloatingPointRange<Float>?,
) {
    companion object {
        private const val IDENTIFIER = "TFL3"
        private const val LABELS = "labels"
        private const val INPUT_RANGE = "input_range"

        // Field numbers of LiteRT's schema.fbs, version 3.
        private const val MODEL_SUBGRAPHS = 2
        private const val MODEL_BUFFERS = 4
        private const val MODEL_METADATA = 6
        private const val SUBGRAPH_TENSORS = 0
        private const val SUBGRAPH_INPUTS = 1
        private const val SUBGRAPH_OUTPUTS = 2
        private const val TENSOR_SHAPE = 0
        private const val TENSOR_TYPE = 1
        private const val TENSOR_QUANTISATION = 4
        private const val QUANTISATION_SCALE = 2
        private const val QUANTISATION_ZERO_POINT = 3
        private const val BUFFER_DATA = 0
        private const val METADATA_NAME = 0
        private const val METADATA_BUFFER = 1
        private const val FLOAT32: Byte = 0
        private const val INT8: Byte = 9

        /**
         * Read the description of a classifier.
         *
         * @param bytes the whole file.
         * @param name its name in messages.
         * @throws ClassifierException it is no `.tflite` file, damaged, or not a classifier with one input and output.
         */
        fun read(bytes: ByteBuffer, name: String): ModelDescription {
            if (!hasIdentifier(bytes)) {
                throw ClassifierException("$name is not a .tflite model: bytes 4 to 8 are not '$IDENTIFIER'.")
            }
            return try {
                describe(Table.root(bytes), name)
            } catch (error: IndexOutOfBoundsException) {
                throw ClassifierException("$name is damaged: it ends too early. Copy it again.", error)
            } catch (error: IllegalArgumentException) {
                throw ClassifierException("$name is damaged: ${error.message}. Copy it again.", error)
            }
        }

        private fun hasIdentifier(bytes: ByteBuffer): Boolean =
            bytes.limit() >= 8 && IDENTIFIER.indices.all { bytes.get(4 + it) == IDENTIFIER[it].code.toByte() }

        private fun describe(model: Table, name: String): ModelDescription {
            model.tables(MODEL_BUFFERS).forEach { it.checkData(BUFFER_DATA) } // LiteRT reads beyond a truncated file
            val graph = requireNotNull(model.tables(MODEL_SUBGRAPHS).firstOrNull()) { "it has no graph" }
            val tensors = graph.tables(SUBGRAPH_TENSORS)
            val (inputs, outputs) = listOf(SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS).map { graph.ints(it).map(tensors::get) }
            if (inputs.size != 1 || outputs.size != 1) {
                throw ClassifierException(
                    "$name has ${inputs.size} inputs and ${outputs.size} outputs; a classifier has one of each.",
                )
            }
            val range = metadata(model, INPUT_RANGE)?.let { ByteBuffer.wrap(it).order(ByteOrder.LITTLE_ENDIAN) }
            return ModelDescription(
                tensor(inputs.single(), "$name: the input"),
                tensor(outputs.single(), "$name: the output"),
                metadata(model, LABELS)?.decodeToString()?.lines().orEmpty(),
                range?.let { it.getFloat(0)..it.getFloat(Float.SIZE_BYTES) },
            )
        }

        private fun tensor(table: Table, what: String): TensorDescription {
            val shape = table.ints(TENSOR_SHAPE).drop(1)
            return when (val type = table.byte(TENSOR_TYPE)) {
                FLOAT32 -> TensorDescription(shape, null)
                INT8 -> {
                    val quantisation = requireNotNull(table.table(TENSOR_QUANTISATION)) { "int8 without a scale" }
                    val scale = quantisation.floats(QUANTISATION_SCALE).single()
                    val zeroPoint = quantisation.longs(QUANTISATION_ZERO_POINT).single().toInt()
                    TensorDescription(shape, Quantisation(scale, zeroPoint))
                }
                else -> throw ClassifierException(
                    "$what is neither float32 nor int8 (type $type in the schema): export with --io float32.",
                )
            }
        }

        private fun metadata(model: Table, name: String): ByteArray? =
            model.tables(MODEL_METADATA)
                .firstOrNull { it.string(METADATA_NAME) == name }
                ?.let { model.tables(MODEL_BUFFERS)[it.int(METADATA_BUFFER)].data(BUFFER_DATA) }
    }
}
