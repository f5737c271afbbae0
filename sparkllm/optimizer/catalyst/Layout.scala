package sparkllm.catalyst

/** How the prompts of a call are laid out when other calls ask about the same fields: data first, where that saves
  * tokens. The cost model of sparkllm/optimizer/layout.py, in bytes.
  *
  * @param fromBytes bytes of a row's data that no row before it shares, from which data first is cheaper
  * @param follows another call has asked about the same rows before */
case class Layout(fromBytes: Int, follows: Boolean) {
  override def toString: String = s"data first from $fromBytes unshared bytes a row"
}

object Layout {
  /** Share of the computed prompt tokens that data first must save: answers may change with the layout. */
  val leastSaving = 0.2
  /** Computed for every prompt in either layout: half a cache block, and the end of the chat frame. */
  val overheadBytes = 80

  /** The fewest unshared bytes of a row's data from which data first saves `saving`; None where it never does.
    *
    * With `share` of the rows asked by each call (1 for the first) and `asked` their sum, instruction first computes
    * `asked * (data + overhead)` a row, data first `data + sum(share * (instruction + overhead))`. */
  def leastData(instructions: Seq[Double], shares: Seq[Double], overhead: Double, saving: Double): Option[Double] = {
    val asked = shares.sum
    val gain = asked * (1 - saving) - 1
    val cost = instructions.zip(shares).map { case (i, s) => i * s }.sum + asked * overhead * saving
    if (gain > 0) Some(cost / gain) else None
  }
}
