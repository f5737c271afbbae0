package sparkllm.catalyst

import java.io.{DataInputStream, DataOutputStream}
import java.util.TreeMap

import scala.jdk.CollectionConverters._

import org.apache.spark.unsafe.types.UTF8String

/** A row of the sample.
  *
  * @param bytes of its fields
  * @param present its fields that are not NULL
  * @param leading what orders its first field in the global order; null for NULL */
case class SampledRow(key: Array[Byte], bytes: Long, present: Seq[Int], leading: Array[Byte])

/** The different rows with the smallest hashes, up to `capacity` of them and `mostBytes`: a uniform sample of the
  * distinct rows, whatever their order and however often each comes. Of a row it keeps the parts of its fields that
  * order it (FieldSketch.parts) and the length of them all. */
final class BottomRows(capacity: Int, mostBytes: Long) {
  private case class Row(parts: Array[Array[Byte]], length: Long) {
    /** Bytes that `write` makes of it. */
    def held: Long = 16 + parts.map(p => if (p == null) 2L else 2L + p.length).sum
  }
  private val rows = new TreeMap[Long, Row]()
  private var held = 0L
  private var limit = Long.MaxValue // every row with a smaller hash is here

  /** @param hashes of the fields */
  def add(hash: Long, fields: Array[UTF8String], hashes: Array[Long]): Unit = if (wanted(hash))
    put(hash, Row(FieldSketch.parts(fields, hashes), fields.map(f => if (f == null) 0L else f.numBytes.toLong).sum))

  def merge(other: BottomRows): Unit = {
    limit = math.min(limit, other.limit)
    while (!rows.isEmpty && rows.lastKey >= limit) drop()
    other.rows.asScala.foreach { case (hash, row) => if (wanted(hash)) put(hash, Row(row.parts, row.length)) }
  }

  private def wanted(hash: Long): Boolean = hash < limit && !rows.containsKey(hash)

  private def put(hash: Long, row: Row): Unit = {
    rows.put(hash, row)
    held += row.held
    while (rows.size > capacity || held > mostBytes && rows.size > 1) drop()
  }

  private def drop(): Unit = {
    val last = rows.pollLastEntry()
    held -= last.getValue.held
    limit = math.min(limit, last.getKey)
  }

  /** Where the 2nd, 3rd, ... of `parts` ranges of about equal length begin, in bytes of the rendered fields. */
  def boundaries(order: Array[Int], names: Seq[String], parts: Int): Array[Array[Byte]] = {
    val keyed = inOrder(order)
    Ranges.equal(keyed.map(_.key), keyed.map(r => r.bytes + r.present.map(names(_).length + 6L).sum), parts)
  }

  /** The sample in the global order. */
  def inOrder(order: Array[Int]): Array[SampledRow] = {
    val keyed = rows.asScala.toArray.map { case (hash, row) =>
      val present = row.parts.indices.filter(row.parts(_) != null)
      SampledRow(FieldSketch.key(row.parts, order, hash), row.length, present, row.parts(order.head))
    }
    java.util.Arrays.sort(keyed, (a: SampledRow, b: SampledRow) => java.util.Arrays.compareUnsigned(a.key, b.key))
    keyed
  }

  def write(out: DataOutputStream): Unit = {
    out.writeLong(limit)
    out.writeInt(rows.size)
    rows.asScala.foreach { case (hash, row) =>
      out.writeLong(hash)
      out.writeLong(row.length)
      row.parts.foreach(p => if (p == null) out.writeShort(-1) else { out.writeShort(p.length); out.write(p) })
    }
  }

  def read(in: DataInputStream, width: Int): Unit = {
    limit = in.readLong()
    (0 until in.readInt()).foreach { _ =>
      val (hash, length) = (in.readLong(), in.readLong())
      val parts = Array.fill(width) {
        val size = in.readShort()
        if (size < 0) null else { val bytes = new Array[Byte](size); in.readFully(bytes); bytes }
      }
      put(hash, Row(parts, length))
    }
  }
}

object BottomRows {
  /** Of the one sample that the driver gets: 4,000 rows of 1 KB, 3,000 of fifty long fields. */
  val mostBytes: Long = 4L << 20

  /** Of the sample of each of so many tasks. Where all have about as many rows, the samples together are as large a
    * sample: one for all, cut where the first of them ends. */
  def bytesOfTask(tasks: Int): Long = math.max(mostBytes / math.max(1, tasks), 512L << 10)
}
