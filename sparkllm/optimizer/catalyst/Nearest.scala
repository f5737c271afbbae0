package sparkllm.catalyst

import org.apache.commons.text.similarity.LevenshteinDistance

/** "; did you mean 'classify'?", or every known name where none is near. */
object Nearest {
  def apply(name: String, known: Seq[String]): String = {
    val distance = LevenshteinDistance.getDefaultInstance
    val near = known.map(k => (distance.apply(name.toLowerCase, k.toLowerCase).intValue, k)).sorted.headOption
    near match {
      case Some((steps, k)) if steps <= math.max(2, k.length / 3) => s"; did you mean '$k'?"
      case _ => s"; known: ${known.map(k => s"'$k'").mkString(", ")}"
    }
  }

  /** The same with another sentence behind it. */
  def andThen(name: String, known: Seq[String], more: String): String = {
    val near = apply(name, known)
    s"$near${if (near.endsWith("?")) "" else "."} $more"
  }
}
