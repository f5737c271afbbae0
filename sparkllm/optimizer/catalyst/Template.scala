package sparkllm.catalyst

/** The placeholders of a prompt: `{review}`, `{b.c}`. `{{` and `}}` are escapes that Python resolves; anything else in
  * braces (JSON, say) is plain text. */
object Template {
  private val token = """\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\}""".r

  def placeholders(prompt: String): Seq[String] =
    token.findAllMatchIn(prompt).flatMap(m => Option(m.group(1))).toSeq.distinct
}
