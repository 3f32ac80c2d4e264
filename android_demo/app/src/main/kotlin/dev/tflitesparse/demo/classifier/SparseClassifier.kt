package dev.tflitesparse.demo.classifier

import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import java.io.IOException

/**
 * A classifier in a `.tflite` file, dense or sparse, float32 or int8, run by LiteRT's `CompiledModel` on the CPU.
 *
 * Shape, type, scale, zero point and class names come from the file itself. It is not safe for use by several threads
 * at once.
 */
class SparseClassifier private constructor(
    private val name: String,
    private val model: CompiledModel,
    val description: ModelDescription,
    val labels: List<String>,
) : AutoCloseable {

    private val inputs: List<TensorBuffer> = model.createInputBuffers()
    private val outputs: List<TensorBuffer> = model.createOutputBuffers()

    /**
     * Run one sample.
     *
     * @param values real numbers in the order of [ModelDescription.input], in the range that the model was trained on.
     * @throws ClassifierException there are more or fewer values than the model takes, or LiteRT fails.
     */
    fun classify(values: FloatArray): Classification {
        val (input, output) = description.input to description.output
        if (values.size != input.size) {
            throw ClassifierException("$name takes ${input.size} values ($input), ${values.size} were given.")
        }
        return try {
            write(values, input.quantisation)
            model.run(inputs, outputs)
            read(output.quantisation)
        } catch (error: LiteRtException) {
            throw ClassifierException("LiteRT failed to run $name: ${error.message}.", error)
        }
    }

    private fun write(values: FloatArray, quantisation: Quantisation?) = when (quantisation) {
        null -> inputs.single().writeFloat(values)
        else -> inputs.single().writeInt8(ByteArray(values.size) { quantisation.quantise(values[it]) })
    }

    private fun read(quantisation: Quantisation?): Classification = when (quantisation) {
        null -> Classification(outputs.single().readFloat(), null, labels)
        else -> {
            val raw = outputs.single().readInt8()
            Classification(FloatArray(raw.size) { quantisation.dequantise(raw[it]) }, raw, labels)
        }
    }

    override fun close() {
        (inputs + outputs).forEach(TensorBuffer::close)
        model.close()
    }

    companion object {
        /**
         * Load a model.
         *
         * @param file source of the model.
         * @param fallbackLabels names of the classes for a file without its own; without any, classes have numbers.
         * @throws ClassifierException it is missing, no model, no classifier, or LiteRT refuses it.
         */
        fun open(file: ModelFile, fallbackLabels: List<String> = emptyList()): SparseClassifier {
            val bytes = try {
                file.bytes()
            } catch (error: IOException) {
                throw ClassifierException(
                    "${file.name} is missing. Make it: tflite-sparse export --int8 --android-assets app/src/main/assets",
                    error,
                )
            }
            val description = ModelDescription.read(bytes, file.name)
            val classes = description.output.size
            val own = listOf(description.labels, fallbackLabels).firstOrNull { it.size == classes }
            return load(file, description, own ?: List(classes, Int::toString))
        }

        private fun load(file: ModelFile, description: ModelDescription, labels: List<String>): SparseClassifier {
            var model: CompiledModel? = null
            try {
                model = file.compile()
                return SparseClassifier(file.name, model, description, labels)
            } catch (error: LiteRtException) {
                model?.close()
                throw ClassifierException(
                    "LiteRT refuses ${file.name}: ${error.message}. Sparse files need LiteRT 2.1.0 or later.",
                    error,
                )
            }
        }
    }
}
