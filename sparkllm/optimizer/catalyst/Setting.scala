package sparkllm.catalyst

import scala.util.Try

import org.apache.spark.sql.internal.SQLConf

/** The settings of sparkllm/config.py that the JVM reads. */
object Setting {
  val prefix = "spark.sparkllm."

  def apply(key: String, default: String): String = SQLConf.get.getConfString(key, default)

  /** Python refuses the same texts, and says more. */
  def number(name: String, default: Double): Double = {
    val text = apply(prefix + name, default.toString).trim
    Try(text.toDouble).getOrElse(throw new CallError(s"$prefix$name expects a number, got '$text'"))
  }

  /** The off switch of a rule: spark.sparkllm.optimizer.<rule>. */
  def on(rule: String): Boolean = apply(s"${prefix}optimizer.$rule", "true").trim.toLowerCase match {
    case "true" | "1" => true
    case "false" | "0" => false
    case other => throw new CallError(s"${prefix}optimizer.$rule expects true or false, got '$other'")
  }
}
