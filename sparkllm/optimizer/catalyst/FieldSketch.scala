package sparkllm.catalyst

import java.io.{ByteArrayInputStream, ByteArrayOutputStream, DataInputStream, DataOutputStream}
import java.nio.ByteBuffer

import org.apache.spark.sql.catalyst.expressions.XXH64
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.types.UTF8String

/** What one pass over the fields of a call keeps: bytes of each field, distinct counts of fields and of pairs of fields
  * (HyperLogLog), and the rows with the smallest hashes, each once: a uniform sample of the distinct rows.
  *
  * Joint counts are what the field order is chosen by (with marginal counts alone half of the reuse is missed); the
  * sample is what the ranges are cut by. Bounded: 4 KB a field, less where fields are many, 1 KB a pair, and the
  * sample.
  *
  * @param width fields of the call
  * @param capacity most rows of the sample
  * @param sampleBytes most bytes of the sample */
final class FieldSketch(val width: Int, val capacity: Int, sampleBytes: Long) {
  private val pairs = if (width <= FieldSketch.mostPaired) width * (width - 1) / 2 else 0
  private val bytes, filled = new Array[Long](width)
  private val singles = Array.fill(width)(new Distinct(FieldSketch.bits(width)))
  private val doubles = Array.fill(pairs)(new Distinct(10))
  private val whole = new Distinct(12)
  private val sample = new BottomRows(capacity, sampleBytes)
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
    sample.add(row, fields, hashes)
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
    val pools = wanted.pools.map(PoolRanges.cut(_, sample.inOrder(order), whole.count))
    Placement(order, ranges, rows, whole.count, wanted.dataFirst.exists(_ <= unshared(names, order)), pools)
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
  /** Bytes of a row that take part in the order of rows, shared by its fields: 256 each of four, 20 each of fifty. */
  private val keyBytes = 1024
  private val (leastCut, mostCut) = (16, 256)
  /** Of the distinct counts of single fields. */
  private val mostCountBytes = 256L << 10

  /** A count's error is 1.6 % for up to 64 fields, 3.3 % for up to 256. */
  private def bits(width: Int): Int = (12 to 9 by -1).find(p => width.toLong << p <= mostCountBytes).getOrElse(8)

  def deserialize(bytes: Array[Byte]): FieldSketch = {
    val in = new DataInputStream(new ByteArrayInputStream(bytes))
    new FieldSketch(in.readInt(), in.readInt(), BottomRows.mostBytes).read(in)
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

  /** What takes part in the order of rows: the first bytes of each field, and the hash of a longer one, so that its
    * equal values stand together. NULL is null. */
  def parts(fields: Array[UTF8String], hashes: Array[Long]): Array[Array[Byte]] = {
    val cut = math.max(leastCut, math.min(mostCut, keyBytes / fields.length))
    Array.tabulate(fields.length)(i => if (fields(i) == null) null else part(fields(i), hashes(i), cut))
  }

  private def part(text: UTF8String, hash: Long, cut: Int): Array[Byte] = {
    val (size, longer) = (math.min(text.numBytes, cut), text.numBytes > cut)
    val out = new Array[Byte](if (longer) size + 8 else size)
    Platform.copyMemory(text.getBaseObject, text.getBaseOffset, out, Platform.BYTE_ARRAY_OFFSET, size)
    if (longer) ByteBuffer.wrap(out, size, 8).putLong(hash)
    out
  }

  /** A row's place among all rows: the parts of its fields in this order, and the hash of the whole row, so that equal
    * rows have equal keys and others have not. NULL comes first. */
  def key(parts: Array[Array[Byte]], order: Array[Int], row: Long): Array[Byte] = {
    val out = ByteBuffer.allocate(parts.map(p => if (p == null) 1 else p.length + 2).sum + 8)
    order.foreach { i =>
      if (parts(i) != null) out.put(1.toByte).put(parts(i))
      out.put(0.toByte) // ends the field
    }
    out.putLong(row).array()
  }
}
