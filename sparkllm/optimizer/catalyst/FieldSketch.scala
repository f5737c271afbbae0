package sparkllm.catalyst

import java.io.{ByteArrayInputStream, ByteArrayOutputStream, DataInputStream, DataOutputStream}

import org.apache.spark.sql.catalyst.expressions.XXH64
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.types.UTF8String

/** What one pass over the fields of a call keeps: bytes of each field, distinct counts of fields and of pairs of fields
  * (HyperLogLog), and the rows with the smallest hashes, each once: a uniform sample of the distinct rows.
  *
  * Joint counts are what the field order is chosen by (with marginal counts alone half of the reuse is missed); the
  * sample is what the ranges are cut by. Bounded: 4 KB a field, 1 KB a pair, and the sample (BottomRows).
  *
  * @param width fields of the call
  * @param capacity most rows of the sample */
final class FieldSketch(val width: Int, val capacity: Int) {
  private val pairs = if (width <= FieldSketch.mostPaired) width * (width - 1) / 2 else 0
  private val bytes, filled = new Array[Long](width)
  private val singles = Array.fill(width)(new Distinct(12))
  private val doubles = Array.fill(pairs)(new Distinct(10))
  private val whole = new Distinct(12)
  private val sample = new BottomRows(capacity)
  private var rows = 0L

  /** One row; a NULL field is null. Rows without any field are not asked, and not counted.
    *
    * @param apart sets rows of the same fields apart where each is asked for itself; else 0 */
  def add(fields: Array[UTF8String], apart: Long): Unit = if (fields.exists(_ != null)) {
    val hashes = fields.map(FieldSketch.hash)
    val row = FieldSketch.combine(hashes) ^ apart
    rows += 1
    whole.add(row)
    var i, pair = 0
    while (i < width) {
      if (fields(i) != null) { bytes(i) += fields(i).numBytes; filled(i) += 1 }
      singles(i).add(hashes(i))
      if (pairs > 0) {
        var j = i + 1
        while (j < width) { doubles(pair).add(FieldSketch.mix(hashes(i) * 31 + hashes(j))); pair += 1; j += 1 }
      }
      i += 1
    }
    sample.add(row, fields)
  }

  def merge(other: FieldSketch): FieldSketch = {
    rows += other.rows
    for (i <- 0 until width) { bytes(i) += other.bytes(i); filled(i) += other.filled(i) }
    singles.zip(other.singles).foreach { case (a, b) => a.merge(b) }
    doubles.zip(other.doubles).foreach { case (a, b) => a.merge(b) }
    whole.merge(other.whole)
    sample.merge(other.sample)
    this
  }

  /** The field order, the ranges and the layout. */
  def placement(wanted: FieldStatistics): Placement = {
    val names = wanted.names
    val order = if (wanted.keep) (0 until width).toArray else fieldOrder(names, wanted.first)
    val useful = math.min(wanted.parts.toLong, whole.count / FieldSketch.fewestRows).toInt
    val ranges = sample.boundaries(order, names, math.max(1, useful))
    Placement(order, ranges, rows, whole.count, wanted.dataFirst.exists(_ <= unshared(names, order)))
  }

  /** Bytes of a distinct row behind those that it shares with the row before it, in this order: what is computed. */
  private def unshared(names: Seq[String], order: Array[Int]): Double = {
    val total = math.max(1.0, whole.count.toDouble)
    var values = 1.0
    order.indices.map { n =>
      values = distinct(order.take(n).toSeq, values, order(n), total)
      length(names, order(n)) * math.min(1, values / total)
    }.sum
  }

  /** Mean bytes of a field as it is rendered, `"name": "value", ` or nothing. */
  private def length(names: Seq[String], i: Int): Double =
    if (rows == 0) 0 else (bytes(i) + filled(i) * (names(i).length + 6.0)) / rows

  /** Greedy: next is the field that shares most bytes behind those chosen, average length x (distinct rows - distinct
    * values of the set). */
  private def fieldOrder(names: Seq[String], first: Seq[Int]): Array[Int] = {
    val total = whole.count.toDouble
    // within the sketches' error every row is different
    def saved(i: Int, values: Double): Double = if (values > 0.95 * total) 0 else length(names, i) * (total - values)
    val chosen = scala.collection.mutable.ArrayBuffer[Int]()
    var values = 1.0
    def append(i: Int): Unit = { values = distinct(chosen.toSeq, values, i, total); chosen += i }
    first.foreach(append)
    var left: IndexedSeq[Int] = (0 until width).filterNot(chosen.contains)
    while (left.nonEmpty) {
      val gains = left.map(i => (i, saved(i, distinct(chosen.toSeq, values, i, total))))
      val (best, gain) = gains.maxBy(_._2)
      if (gain > 0) { append(best); left = left.filterNot(_ == best) }
      else { chosen ++= left.sortBy(i => -saved(i, singles(i).count.toDouble)); left = IndexedSeq() }
    }
    chosen.toArray
  }

  /** Distinct values of `set`, which has `values` of them, with another field.
    *
    * Each value of the set has at most as many of the field as the member that says most about it (1: it determines
    * it); so many combinations, thrown at random over the rows, fill that many of them. At least as many as any
    * pair. */
  private def distinct(set: Seq[Int], values: Double, field: Int, total: Double): Double =
    if (set.isEmpty) singles(field).count.toDouble
    else if (pairs == 0) math.max(values, singles(field).count.toDouble)
    else {
      val joint = set.map(i => (pair(i, field), singles(i).count.toDouble))
      val growth = joint.map { case (both, alone) => math.max(1, both / alone) }.min
      val spread = if (growth > 1.05) total * (1 - math.exp(-values * growth / total)) else values
      math.max(spread, math.max(values, joint.map(_._1).max))
    }

  private def pair(i: Int, j: Int): Double = doubles(index(i.min(j), i.max(j))).count.toDouble

  private def index(i: Int, j: Int): Int = i * width - i * (i + 1) / 2 + j - i - 1

  def serialize(): Array[Byte] = {
    val bytesOut = new ByteArrayOutputStream()
    val out = new DataOutputStream(bytesOut)
    out.writeInt(width)
    out.writeInt(capacity)
    out.writeLong(rows)
    (bytes ++ filled).foreach(out.writeLong)
    (singles ++ doubles :+ whole).foreach(_.write(out))
    sample.write(out)
    out.flush()
    bytesOut.toByteArray
  }

  private def read(in: DataInputStream): FieldSketch = {
    rows = in.readLong()
    Seq(bytes, filled).foreach(counts => counts.indices.foreach(i => counts(i) = in.readLong()))
    (singles ++ doubles :+ whole).foreach(_.read(in))
    sample.read(in, width)
    this
  }
}

object FieldSketch {
  /** With more fields, pairs would be too many: their order is chosen by single counts. */
  val mostPaired = 32
  /** Distinct rows of a range, at least: below, what a range does not share with its neighbours grows. */
  val fewestRows = 128
  /** Bytes of a field that take part in the order of rows. */
  val cut = 256

  def deserialize(bytes: Array[Byte]): FieldSketch = {
    val in = new DataInputStream(new ByteArrayInputStream(bytes))
    new FieldSketch(in.readInt(), in.readInt()).read(in)
  }

  def hash(text: UTF8String): Long =
    if (text == null) 0x9E3779B97F4A7C15L
    else XXH64.hashUnsafeBytes(text.getBaseObject, text.getBaseOffset, text.numBytes, 42L)

  def combine(hashes: Array[Long]): Long = mix(hashes.foldLeft(17L)((h, x) => mix(h * 31 + x)))

  /** The finaliser of MurmurHash3. */
  def mix(x: Long): Long = {
    var h = (x ^ (x >>> 33)) * 0xff51afd7ed558ccdL
    h = (h ^ (h >>> 33)) * 0xc4ceb9fe1a85ec53L
    h ^ (h >>> 33)
  }

  /** A row's place among all rows: its fields in this order, each up to `cut` bytes, and the hash of the whole row, so
    * that equal rows have equal keys and others have not. NULL comes first. */
  def key(fields: Array[UTF8String], order: Array[Int], row: Long): Array[Byte] = {
    val sizes = order.map(i => if (fields(i) == null) 0 else math.min(fields(i).numBytes, cut) + 1)
    val out = new Array[Byte](sizes.sum + order.length + 8)
    var at = 0
    order.indices.foreach { n =>
      val size = sizes(n) - 1
      if (size >= 0) {
        val text = fields(order(n))
        out(at) = 1
        Platform.copyMemory(text.getBaseObject, text.getBaseOffset, out, Platform.BYTE_ARRAY_OFFSET + at + 1, size)
        at += size + 1
      }
      at += 1 // a zero byte ends the field
    }
    java.nio.ByteBuffer.wrap(out, at, 8).putLong(row)
    out
  }
}
