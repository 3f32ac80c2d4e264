package dev.tflitesparse.demo.logic

import dev.tflitesparse.demo.classifier.ClassifierException
import dev.tflitesparse.demo.classifier.ModelDescription
import dev.tflitesparse.demo.classifier.Quantisation
import dev.tflitesparse.demo.classifier.TensorDescription
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class InputImageTest {
    private val drawing = Drawing().apply {
        start(0f, 0f)
        moveTo(10f, 20f)
    }

    private fun described(
        shape: List<Int>,
        range: ClosedFloatingPointRange<Float>? = null,
        quantisation: Quantisation? = null,
    ) = ModelDescription(
        TensorDescription(shape, quantisation), TensorDescription(listOf(10), null), emptyList(), range,
    )

    @Test
    fun greyImagesHaveTheModelsSize() {
        assertEquals(12 * 14, InputImage(described(listOf(12, 14, 1))).of(drawing).size)
        assertEquals(12 * 14, InputImage(described(listOf(12, 14))).of(drawing).size)
    }

    @Test
    fun everyChannelGetsTheSameGrey() {
        val values = InputImage(described(listOf(28, 28, 3))).of(drawing)
        assertEquals(28 * 28 * 3, values.size)
        for (pixel in 0 until 28 * 28) {
            assertEquals(1, values.slice(3 * pixel until 3 * pixel + 3).toSet().size)
        }
    }

    @Test
    fun theFilesRangeComesFirstThenWhatInt8CanHoldThenTheFallback() {
        val steps = Quantisation(2f, -128)
        for ((description, range) in listOf(
            described(listOf(28, 28, 1), -1f..1f, steps) to -1f..1f,
            described(listOf(28, 28, 1), null, steps) to 0f..510f,
            described(listOf(28, 28, 1)) to 0f..255f,
        )) {
            val values = InputImage(description, 0f..255f).of(drawing)
            assertEquals(range.start, values.min(), 0f)
            assertEquals(range.endInclusive, values.max(), 0f)
        }
    }

    @Test
    fun greyOfAnInputIsTheDrawing() {
        val image = InputImage(described(listOf(28, 28, 3), -1f..1f))
        assertArrayEquals(drawing.toImage(28, 28), image.grey(image.of(drawing)), 1e-6f)
    }

    @Test
    fun aModelThatTakesNoImagesIsNamed() {
        val error = assertThrows(ClassifierException::class.java) { InputImage(described(listOf(16))) }
        assertTrue(error.message, "takes no image but 16" in error.message!!)
    }
}
