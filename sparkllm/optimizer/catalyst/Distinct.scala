package sparkllm.catalyst

import java.io.{DataInputStream, DataOutputStream}

/** Counts different 64-bit hashes in 2^p bytes, with a standard error of 1.04 / sqrt(2^p): HyperLogLog (Flajolet et
  * al., 2007), and linear counting where few of its registers are set. */
final class Distinct(p: Int) {
  private val registers = new Array[Byte](1 << p)

  def add(hash: Long): Unit = {
    val register = (hash >>> (64 - p)).toInt
    val rank = (java.lang.Long.numberOfLeadingZeros((hash << p) | (1L << (p - 1))) + 1).toByte
    if (rank > registers(register)) registers(register) = rank
  }

  def merge(other: Distinct): Unit = other.merge(registers)

  private def merge(into: Array[Byte]): Unit =
    registers.indices.foreach(i => if (registers(i) > into(i)) into(i) = registers(i))

  def count: Long = {
    val m = registers.length.toDouble
    var (sum, empty) = (0.0, 0)
    registers.foreach { r => sum += 1.0 / (1L << r); if (r == 0) empty += 1 } // asked often: for each set of fields
    val estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum
    math.round(if (estimate <= 2.5 * m && empty > 0) m * math.log(m / empty) else estimate)
  }

  def write(out: DataOutputStream): Unit = out.write(registers)

  def read(in: DataInputStream): Unit = in.readFully(registers)
}
