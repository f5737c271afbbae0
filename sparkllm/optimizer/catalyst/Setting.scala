package sparkllm.catalyst

import org.apache.spark.sql.internal.SQLConf

/** The settings of sparkllm/config.py that the JVM reads. */
object Setting {
  val prefix = "spark.sparkllm."

  def apply(key: String, default: String): String = SQLConf.get.getConfString(key, default)

  /** The off switch of a rule: spark.sparkllm.optimizer.<rule>. */
  def on(rule: String): Boolean = apply(s"${prefix}optimizer.$rule", "true").trim.toLowerCase match {
    case "true" | "1" => true
    case "false" | "0" => false
    case other => throw new CallError(s"${prefix}optimizer.$rule expects true or false, got '$other'")
  }
}
