package dev.tflitesparse.demo.logic

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import java.io.File

class ProcessMemoryTest {
    @Test
    fun kilobytesOfTheKernelAreKibibytes() {
        val status = "Name:\tdemo\nVmPeak:\t 9 kB\nVmHWM:\t    2000 kB\nVmRSS:\t    1500 kB\nThreads:\t7\n"
        assertEquals(ProcessMemory(1500L * 1024, 2000L * 1024), ProcessMemory.parse(status))
    }

    @Test
    fun whatIsNotToldIsNull() {
        assertNull(ProcessMemory.parse(""))
        assertNull(ProcessMemory.parse("VmRSS:\t 1500 kB\n"))
        assertNull(ProcessMemory.parse("VmRSS:\t?\nVmHWM:\t?\n"))
    }

    @Test
    fun linuxTells() {
        val found = ProcessMemory.parse(File(ProcessMemory.STATUS).readText())!!
        assertTrue("$found", found.resident in 1..found.peak)
    }
}
