package dev.tflitesparse.demo.logic

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class MeasurementTest {
    private val dense = Measurement(268_160, 4.5, Latency(100, 0.25, 0.5), 3_000_000, listOf(7, 2, 1, 0), 0f)
    private val sparse = dense.copy(fileBytes = 78_176, peakBytes = null, classes = listOf(7, 2, 1, 4))

    @Test
    fun aMeasurementSurvivesTheWayBetweenProcesses() {
        for (each in listOf(dense, sparse, dense.copy(largestDifference = 1.1920929e-7f))) {
            assertEquals(each, Measurement.fromJson(each.toJson()))
        }
    }

    @Test
    fun agreementIsTheShareOfEqualClasses() {
        assertEquals(1.0, dense.agreement(dense), 0.0)
        assertEquals(0.75, dense.agreement(sparse), 0.0)
        assertThrows(IllegalArgumentException::class.java) { dense.agreement(sparse.copy(classes = listOf(1))) }
    }

    @Test
    fun theTableHasAColumnForEachFileAndARowForEachFact() {
        val table = Comparison.table(linkedMapOf(ModelChoice.DENSE_INT8 to dense, ModelChoice.SPARSE_INT8 to sparse))
        assertEquals(
            listOf(
                listOf("", "dense int8", "sparse int8"),
                listOf("size", "268.2 kB", "78.2 kB"),
                listOf("load", "4.500 ms", "4.500 ms"),
                listOf("latency, median", "0.250 ms", "0.250 ms"),
                listOf("latency, 90 %", "0.500 ms", "0.500 ms"),
                listOf("peak memory", "3,000.0 kB", "not told"),
                listOf("same class as dense int8", "100 %", "75 %"),
                listOf("largest difference from Python", "none", "none"),
            ),
            table,
        )
    }

    @Test
    fun withoutMeasurementsThereIsNoTable() {
        assertTrue(Comparison.table(emptyMap()).isEmpty())
    }
}
