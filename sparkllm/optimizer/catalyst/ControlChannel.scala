package sparkllm.catalyst

/** Where this application's service for engine servers listens (sparkllm/control_channel.py); known on the driver only.
  *
  * Not a setting: those are in plans and in Spark's event log. */
object ControlChannel {
  case class At(location: String, token: String) {
    override def toString: String = location
  }

  @volatile private[catalyst] var current: Option[At] = None

  def open(location: String, token: String): Unit = current = Some(At(location, token))

  def close(): Unit = current = None
}
