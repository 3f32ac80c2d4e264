package dev.tflitesparse.demo.classifier

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A table of a FlatBuffer, with the reads that the description of a model needs.
 *
 * Fields are numbered as in the schema. A damaged file ends in an [IndexOutOfBoundsException] or an
 * [IllegalArgumentException], never in a read outside [bytes].
 */
internal class Table private constructor(private val bytes: ByteBuffer, private val position: Int) {

    fun int(field: Int, default: Int = 0): Int = at(field)?.let(bytes::getInt) ?: default

    fun byte(field: Int, default: Byte = 0): Byte = at(field)?.let(bytes::get) ?: default

    fun table(field: Int): Table? = at(field)?.let { Table(bytes, follow(it)) }

    fun tables(field: Int): List<Table> = elements(field, Int.SIZE_BYTES) { Table(bytes, follow(it)) }

    fun ints(field: Int): List<Int> = elements(field, Int.SIZE_BYTES, bytes::getInt)

    fun longs(field: Int): List<Long> = elements(field, Long.SIZE_BYTES, bytes::getLong)

    fun floats(field: Int): List<Float> = elements(field, Float.SIZE_BYTES, bytes::getFloat)

    fun data(field: Int): ByteArray = elements(field, Byte.SIZE_BYTES, bytes::get).toByteArray()

    fun string(field: Int): String = data(field).decodeToString()

    /** Check that a vector of bytes lies in the file, without reading it. */
    fun checkData(field: Int) {
        at(field)?.let { count(follow(it), Byte.SIZE_BYTES) }
    }

    private fun <T> elements(field: Int, size: Int, read: (Int) -> T): List<T> {
        val vector = follow(at(field) ?: return emptyList())
        return List(count(vector, size)) { read(vector + Int.SIZE_BYTES + it * size) }
    }

    private fun count(vector: Int, size: Int): Int {
        val count = bytes.getInt(vector)
        val end = vector + Int.SIZE_BYTES + count.toLong() * size
        require(count >= 0 && end <= bytes.limit()) { "it has ${bytes.limit()} bytes, of at least $end" }
        return count
    }

    /** Position of a field, null if the table omits it. */
    private fun at(field: Int): Int? {
        val vtable = position - bytes.getInt(position)
        val entry = FIRST_ENTRY + field * Short.SIZE_BYTES
        if (entry >= short(vtable)) return null
        return short(vtable + entry).takeIf { it != 0 }?.let { position + it }
    }

    private fun short(index: Int): Int = bytes.getShort(index).toInt() and 0xFFFF

    private fun follow(index: Int): Int = index + bytes.getInt(index)

    companion object {
        private const val FIRST_ENTRY = 4

        /** The root table of a whole FlatBuffer. */
        fun root(bytes: ByteBuffer): Table {
            val little = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN)
            return Table(little, little.getInt(0))
        }
    }
}
