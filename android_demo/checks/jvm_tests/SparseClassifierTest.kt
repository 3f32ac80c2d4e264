package dev.tflitesparse.demo

import dev.tflitesparse.demo.classifier.ClassifierException
import dev.tflitesparse.demo.classifier.SparseClassifier
import dev.tflitesparse.demo.logic.Golden
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val FLOAT_TOLERANCE = 1e-5f // other processors add in another order

class SparseClassifierTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val golden = Golden.parse(assets.resolve(Golden.NAME).readText())

    private fun open(name: String) = SparseClassifier.open(DiskModelFile(assets.resolve(name)))

    @Test
    fun int8FilesComputeWhatPythonDoesBitForBit() {
        for (file in listOf("dense-int8.tflite", "model.tflite")) {
            open(file).use { classifier ->
                golden.samples.forEachIndexed { index, sample ->
                    val found = classifier.classify(sample.input)
                    assertEquals(classifier.labels.size, found.quantised!!.size)
                    assertEquals("$file, sample $index", 0f, golden.difference(file, index, found), 0f)
                }
            }
        }
    }

    @Test
    fun theFloat32FileComputesWhatPythonDoes() {
        open("dense-float32.tflite").use { classifier ->
            golden.samples.forEachIndexed { index, sample ->
                val found = classifier.classify(sample.input)
                assertEquals(0f, golden.difference("dense-float32.tflite", index, found), FLOAT_TOLERANCE)
            }
        }
    }

    @Test
    fun goldenOutputsDifferBetweenSamples() {
        open("model.tflite").use { classifier ->
            val classes = golden.samples.map { classifier.classify(it.input).best.index }
            assertTrue("$classes", classes.toSet().size >= 3)
            val found = classifier.classify(golden.samples.first().input)
            assertTrue(golden.samples.indices.any { golden.difference("model.tflite", it, found) > 0 })
        }
    }

    @Test
    fun filesDescribeThemselves() {
        for (file in golden.files) {
            open(file).use { classifier ->
                assertEquals(listOf(28, 28, 1), classifier.description.input.shape)
                assertEquals(listOf(10), classifier.description.output.shape)
                assertEquals(file == "dense-float32.tflite", classifier.description.input.quantisation == null)
            }
        }
    }

    @Test
    fun theSparseFileNamesItsClassesAndItsInputRange() {
        open("model.tflite").use { classifier ->
            assertEquals(List(10, Int::toString), classifier.description.labels)
            assertEquals(0f..1f, classifier.description.inputRange)
        }
    }

    @Test
    fun labelsAreTheFilesOwnElseTheFallbackElseNumbers() {
        val letters = List(10) { "${'a' + it}" }
        val numbers = List(10, Int::toString)
        for ((file, fallback, expected) in listOf(
            Triple("model.tflite", letters, numbers),
            Triple("dense-int8.tflite", letters, letters),
            Triple("dense-int8.tflite", letters.take(9), numbers),
        )) {
            SparseClassifier.open(DiskModelFile(assets.resolve(file)), fallback).use {
                assertEquals(expected, it.labels)
                val best = it.classify(golden.samples.last().input).best
                assertEquals(expected[best.index], best.label)
            }
        }
    }

    @Test
    fun scoresOfTheDemoAreProbabilities() {
        for (file in golden.files) {
            open(file).use { classifier ->
                val found = classifier.classify(golden.samples.first().input)
                assertEquals(1f, found.scores.sum(), 0.03f)
                assertEquals(found.scores.max(), found.best.value, 0f)
                assertEquals(listOf(true, true), found.top(3).zipWithNext { a, b -> a.value >= b.value })
            }
        }
    }

    @Test
    fun aMissingFileIsNamedWithTheCommandThatMakesIt() {
        val message = message { open("absent.tflite") }
        assertTrue(message, "absent.tflite is missing" in message)
        assertTrue(message, "tflite-sparse export --int8 --android-assets" in message)
    }

    @Test
    fun aFileThatIsNoModelIsRefused() {
        for (content in listOf("", "PK", "no model at all")) {
            val file = folder.newFile().apply { writeText(content) }
            val message = message { SparseClassifier.open(DiskModelFile(file)) }
            assertEquals("${file.name} is not a .tflite model: bytes 4 to 8 are not 'TFL3'.", message)
        }
    }

    @Test
    fun aTruncatedModelIsRefused() {
        val whole = assets.resolve("model.tflite").readBytes()
        for (size in listOf(8, 12, 40, 1000, whole.size / 2, whole.size * 9 / 10, whole.size - 16)) {
            val file = folder.newFile().apply { writeBytes(whole.copyOf(size)) }
            val message = message { SparseClassifier.open(DiskModelFile(file)) }
            val who = listOf("${file.name} is damaged: ", "LiteRT refuses ${file.name}: ")
            assertTrue("$size bytes: $message", who.any(message::startsWith))
        }
    }

    @Test
    fun whatLiteRtRefusesIsToldWithTheVersionThatTakesSparseFiles() {
        // The description is intact; the operator codes become numbers that no runtime knows.
        val bytes = assets.resolve("model.tflite").readBytes()
        val damaged = folder.newFile().apply { writeBytes(withUnknownOperators(bytes)) }
        val message = message { SparseClassifier.open(DiskModelFile(damaged)) }
        assertTrue(message, message.startsWith("LiteRT refuses ${damaged.name}: "))
        assertTrue(message, message.endsWith("Sparse files need LiteRT 2.1.0 or later."))
    }

    @Test
    fun anInputOfTheWrongSizeIsRefused() {
        open("model.tflite").use { classifier ->
            val message = message { classifier.classify(FloatArray(100)) }
            assertEquals("model.tflite takes 784 values (28 x 28 x 1), 100 were given.", message)
        }
    }

    /** Every operator code of a model, field 3 of the tables in field 1 of the root, set to 9999. */
    private fun withUnknownOperators(bytes: ByteArray): ByteArray {
        val file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
        fun field(table: Int, number: Int) =
            table + file.getShort(table - file.getInt(table) + 4 + 2 * number).toInt()
        val codes = field(file.getInt(0), 1).let { it + file.getInt(it) }
        for (index in 1..file.getInt(codes)) {
            val table = (codes + 4 * index).let { it + file.getInt(it) }
            file.putInt(field(table, 3), 9999)
        }
        return bytes
    }

    private fun message(block: () -> Unit): String = assertThrows(ClassifierException::class.java, block).message!!
}
