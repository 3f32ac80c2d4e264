package dev.tflitesparse.demo.logic

import dev.tflitesparse.demo.classifier.ClassifierException
import dev.tflitesparse.demo.classifier.ModelDescription
import dev.tflitesparse.demo.classifier.Quantisation

/** Conversion of a drawing to a model's input: size, channels and range of the values. */
class InputImage(description: ModelDescription, fallbackRange: ClosedFloatingPointRange<Float> = 0f..1f) {
    val height: Int
    val width: Int
    private val channels: Int
    private val range = description.inputRange
        ?: description.input.quantisation?.let(::representable)
        ?: fallbackRange

    init {
        val shape = description.input.shape
        if (shape.size !in 2..3) {
            throw ClassifierException("The model takes no image but ${description.input}; use a bundled sample.")
        }
        height = shape[0]
        width = shape[1]
        channels = shape.getOrElse(2) { 1 }
    }

    /** Every channel gets the same grey; 0 becomes the smallest value of the range, 1 the largest. */
    fun of(drawing: Drawing): FloatArray {
        val grey = drawing.toImage(height, width)
        val span = range.endInclusive - range.start
        return FloatArray(grey.size * channels) { range.start + grey[it / channels] * span }
    }

    /** Convert a sample to grey values, 0 to 1, [height] rows of [width]. */
    fun grey(values: FloatArray): FloatArray {
        val span = range.endInclusive - range.start
        return FloatArray(height * width) { pixel ->
            val mean = (0 until channels).map { values[pixel * channels + it] }.average().toFloat()
            ((mean - range.start) / span).coerceIn(0f, 1f)
        }
    }

    /** Range of int8 values, chosen by the converter to include all calibration values. */
    private fun representable(quantisation: Quantisation) =
        quantisation.dequantise(Byte.MIN_VALUE)..quantisation.dequantise(Byte.MAX_VALUE)
}
