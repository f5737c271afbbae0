package sparkllm.catalyst

/** The placeholders of a prompt: `{review}`, `{b.c}`. `{{review}}` stands for the text {review}; any other brace (JSON,
  * say) is plain text. */
object Template {
  // what Python's [^\W\d]\w* matches in sparkllm/udf/prompt.py; Java's own \w is another, even with (?U)
  private val word = """[\p{L}\p{Nl}\p{No}_][\p{L}\p{N}_]*"""
  private val name = s"$word(?:\\.$word)*"
  private val token = s"\\{\\{$name\\}\\}|\\{($name)\\}".r

  def placeholders(prompt: String): Seq[String] =
    token.findAllMatchIn(prompt).flatMap(m => Option(m.group(1))).toSeq.distinct
}
