package sparkllm.catalyst

import scala.util.matching.Regex

/** The placeholders of a prompt: `{review}`, `{b.c}`. `{{review}}` stands for the text {review}; any other brace (JSON,
  * say) is plain text. */
object Template {
  // what Python's [^\W\d]\w* matches in sparkllm/udf/prompt.py; Java's own \w is another, even with (?U)
  private val word = """[\p{L}\p{Nl}\p{No}_][\p{L}\p{N}_]*"""
  private val name = s"$word(?:\\.$word)*"
  private val token = s"\\{\\{$name\\}\\}|\\{($name)\\}".r

  private val alone = s"\\{($name)\\}".r

  /** The same text in a prompt, whatever braces it holds. */
  def plain(text: String): String = alone.replaceAllIn(text, m => Regex.quoteReplacement(s"{{${m.group(1)}}}"))

  def isName(text: String): Boolean = text.matches(name)

  def placeholders(prompt: String): Seq[String] =
    token.findAllMatchIn(prompt).flatMap(m => Option(m.group(1))).toSeq.distinct
}
