package sparkllm.catalyst

import java.io.{DataInputStream, DataOutputStream}
import java.util.TreeMap

import scala.jdk.CollectionConverters._

import org.apache.spark.unsafe.types.UTF8String

/** The different rows with the smallest hashes, up to `capacity` of them and 16 MB: a uniform sample of the distinct
  * rows, whatever their order and however often each comes. Of a row it keeps the first `FieldSketch.cut` bytes of each
  * field and the full lengths. */
final class BottomRows(capacity: Int) {
  private case class Row(fields: Array[UTF8String], lengths: Array[Int]) {
    def held: Long = fields.map(f => BottomRows.overhead + (if (f == null) 0 else f.numBytes)).sum
  }
  private val rows = new TreeMap[Long, Row]()
  private var held = 0L
  private var limit = Long.MaxValue // every row with a smaller hash is here

  def add(hash: Long, fields: Array[UTF8String]): Unit =
    if (wanted(hash)) put(hash, Row(fields.map(shorten), fields.map(f => if (f == null) 0 else f.numBytes)))

  def merge(other: BottomRows): Unit = {
    limit = math.min(limit, other.limit)
    while (!rows.isEmpty && rows.lastKey >= limit) drop()
    other.rows.asScala.foreach { case (hash, row) => if (wanted(hash)) put(hash, Row(row.fields, row.lengths)) }
  }

  private def wanted(hash: Long): Boolean = hash < limit && !rows.containsKey(hash)

  private def put(hash: Long, row: Row): Unit = {
    rows.put(hash, row)
    held += row.held
    while (rows.size > capacity || held > BottomRows.mostBytes && rows.size > 1) drop()
  }

  private def drop(): Unit = {
    val last = rows.pollLastEntry()
    held -= last.getValue.held
    limit = math.min(limit, last.getKey)
  }

  private def shorten(text: UTF8String): UTF8String =
    if (text == null) null else UTF8String.fromBytes(text.getBytes.take(FieldSketch.cut))

  /** Where the 2nd, 3rd, ... of `parts` ranges of about equal length begin, in bytes of the rendered fields. */
  def boundaries(order: Array[Int], names: Seq[String], parts: Int): Array[Array[Byte]] = {
    val keyed = rows.asScala.toArray.map { case (hash, row) =>
      val present = row.fields.indices.filter(row.fields(_) != null)
      (FieldSketch.key(row.fields, order, hash), present.map(i => row.lengths(i) + names(i).length + 6L).sum)
    }
    java.util.Arrays.sort(keyed, (a: (Array[Byte], Long), b: (Array[Byte], Long)) =>
      java.util.Arrays.compareUnsigned(a._1, b._1))
    val total = keyed.map(_._2).sum
    val ends = keyed.scanLeft(0L)(_ + _._2).tail
    (1 until parts).flatMap { part =>
      val at = ends.indexWhere(_ >= total * part / parts)
      if (at >= 0 && at + 1 < keyed.length) Some(between(keyed(at)._1, keyed(at + 1)._1)) else None
    }.toArray
  }

  /** The shortest key above `below` that is not above `from`: every task gets the keys, and fields are many and
    * long. */
  private def between(below: Array[Byte], from: Array[Byte]): Array[Byte] =
    from.take(java.util.Arrays.mismatch(below, from) + 1)

  def write(out: DataOutputStream): Unit = {
    out.writeLong(limit)
    out.writeInt(rows.size)
    rows.asScala.foreach { case (hash, row) =>
      out.writeLong(hash)
      row.fields.zip(row.lengths).foreach { case (text, length) =>
        out.writeInt(if (text == null) -1 else length)
        if (text != null) { val b = text.getBytes; out.writeShort(b.length); out.write(b) }
      }
    }
  }

  def read(in: DataInputStream, width: Int): Unit = {
    limit = in.readLong()
    (0 until in.readInt()).foreach { _ =>
      val hash = in.readLong()
      val fields = Array.fill(width) {
        val length = in.readInt()
        if (length < 0) (null, 0)
        else {
          val bytes = new Array[Byte](in.readShort())
          in.readFully(bytes)
          (UTF8String.fromBytes(bytes), length)
        }
      }
      put(hash, Row(fields.map(_._1), fields.map(_._2)))
    }
  }
}

object BottomRows {
  /** Of 16,384 rows, 1 KB each; with 50 long fields there are some 1,000 rows. Every task holds as much. */
  val mostBytes: Long = 16L << 20
  /** Bytes that a field takes beside its text. */
  private val overhead = 48L
}
