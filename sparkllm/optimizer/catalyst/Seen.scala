package sparkllm.catalyst

import java.nio.charset.StandardCharsets.UTF_8
import java.util.{LinkedHashMap, UUID}
import java.util.Map.Entry

import org.apache.spark.sql.catalyst.expressions._

/** What filters over answers kept in earlier queries of this driver, by the calls they read and their conditions.
  *
  * After a query in which `llm('Is it spam?', body) = 'yes'` kept 12 of 400 rows, 0.03 is expected of it. Columns of
  * the same name count as the same, whatever their table and whatever ran below. At most 1000 are kept; those that
  * were not used for longest go first. */
object Seen {
  private val capacity = 1000
  /** The guess counts as much as this many rows. */
  private val weight = 2.0

  private case class Counts(rows: Double, kept: Double)
  private val counts = new LinkedHashMap[String, Counts](16, 0.75f, true) {
    override protected def removeEldestEntry(eldest: Entry[String, Counts]): Boolean = size > capacity
  }

  /** Later queries count more: what came before loses half of its weight. */
  def add(conditions: Seq[Expression], calls: Map[ExprId, LLMCall], rows: Long, kept: Long): Unit =
    if (rows > 0) key(conditions, calls).foreach { k =>
      counts.synchronized {
        val old = Option(counts.get(k)).getOrElse(Counts(0, 0))
        counts.put(k, Counts(old.rows / 2 + rows, old.kept / 2 + kept))
      }
    }

  /** The share of rows that was kept, drawn towards `guess` where few were seen; None where none was. */
  def share(conditions: Seq[Expression], calls: Map[ExprId, LLMCall], guess: Double): Option[Double] =
    if (!Setting.on("learnSelectivity")) None
    else key(conditions, calls).flatMap(k => counts.synchronized(Option(counts.get(k)))).map { seen =>
      math.min(1, (seen.kept + weight * guess) / (seen.rows + weight))
    }

  /** Without ids and qualifiers, which differ in every query; None for a filter that reads a subquery. */
  private def key(conditions: Seq[Expression], calls: Map[ExprId, LLMCall]): Option[String] =
    if (conditions.exists(_.exists(_.isInstanceOf[PlanExpression[_]]))) None
    else {
      val texts = Selectivity.withoutNullChecks(conditions).map(named(_, calls).canonicalized.toString)
      Some(digest(texts.sorted.mkString(" AND ")).toString)
    }

  /** Every column with an id that is its name's, every answer with its call's. */
  private def named(e: Expression, calls: Map[ExprId, LLMCall]): Expression = e.transform {
    case a: Attribute =>
      val id = digest(calls.get(a.exprId).map(content(_, calls)).getOrElse(a.name.toLowerCase))
      AttributeReference("none", a.dataType)(ExprId(id.getMostSignificantBits, id))
  }

  private def content(call: LLMCall, calls: Map[ExprId, LLMCall]): String = {
    val model = call.spec.model.getOrElse(Setting("spark.sparkllm.model", "demo"))
    (Seq(model, call.spec.json) ++ call.fields.map(named(_, calls).canonicalized.toString)).mkString("\n")
  }

  private def digest(text: String): UUID = UUID.nameUUIDFromBytes(text.getBytes(UTF_8))
}
