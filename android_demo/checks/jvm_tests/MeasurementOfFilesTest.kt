package dev.tflitesparse.demo

import dev.tflitesparse.demo.classifier.SparseClassifier
import dev.tflitesparse.demo.logic.Drawing
import dev.tflitesparse.demo.logic.Golden
import dev.tflitesparse.demo.logic.InputImage
import dev.tflitesparse.demo.logic.Measurement
import dev.tflitesparse.demo.logic.ModelChoice
import dev.tflitesparse.demo.logic.ProcessMemory
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.File
import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.sin

class MeasurementOfFilesTest {
    private val golden = Golden.parse(assets.resolve(Golden.NAME).readText())

    private fun measure(choice: ModelChoice, memory: () -> ProcessMemory?) =
        Measurement.of(DiskModelFile(assets.resolve(choice.file)), golden, 20, memory)

    @Test
    fun everyFileIsMeasured() {
        val found = ModelChoice.entries.map { choice ->
            measure(choice) { ProcessMemory.parse(File(ProcessMemory.STATUS).readText()) }
        }
        val (float32, dense, sparse) = found
        assertEquals(ModelChoice.entries.map { assets.resolve(it.file).length().toInt() }, found.map { it.fileBytes })
        for (each in found) {
            assertEquals(20, each.latency.runs)
            assertTrue("$each", each.loadMs > 0 && each.latency.medianMs > 0 && each.peakBytes!! >= 0)
        }
        assertEquals(1.0, dense.agreement(sparse), 0.0)
        assertTrue("${float32.agreement(sparse)}", float32.agreement(sparse) >= 0.9)
        assertEquals(listOf(0f, 0f), listOf(dense, sparse).map { it.largestDifference })
    }

    @Test
    fun peakMemoryIsWhatTheFileAddedToTheProcess() {
        val told = ArrayDeque(listOf(ProcessMemory(100, 150), ProcessMemory(120, 400)))
        assertEquals(300L, measure(ModelChoice.SPARSE_INT8) { told.removeFirst() }.peakBytes)
        assertNull(measure(ModelChoice.SPARSE_INT8) { null }.peakBytes)
    }

    @Test
    fun digitsThatAFingerDrewAreRecognised() {
        val one = Drawing().apply { line(300f to 100f, 300f to 900f) }
        val seven = Drawing().apply { line(200f to 150f, 700f to 150f, 400f to 900f) }
        val zero = Drawing().apply {
            line(*Array(41) { 500f + 250f * cos(it * PI / 20).toFloat() to 500f + 400f * sin(it * PI / 20).toFloat() })
        }
        for (choice in ModelChoice.entries) {
            SparseClassifier.open(DiskModelFile(assets.resolve(choice.file))).use { classifier ->
                val image = InputImage(classifier.description)
                val found = listOf(zero, one, seven).map { classifier.classify(image.of(it)).best.label }
                assertEquals(choice.title, listOf("0", "1", "7"), found)
            }
        }
    }

    private fun Drawing.line(vararg points: Pair<Float, Float>) = points.forEachIndexed { index, (x, y) ->
        if (index == 0) start(x, y) else moveTo(x, y)
    }
}
