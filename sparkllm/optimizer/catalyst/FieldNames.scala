package sparkllm.catalyst

import org.apache.spark.sql.catalyst.analysis.{TempResolvedColumn, UnresolvedAttribute}
import org.apache.spark.sql.catalyst.expressions._

/** Names of the fields of a call, as CreateStruct would name them, but distinct.
  *
  * `a, b.c, a + 1` -> `a, c, col3`; `struct(a, b AS x)` -> `a, x`; `a, t.a` -> `a, a_2`. They are fixed here, when the
  * call is built: Spark drops inner aliases soon after. */
object FieldNames {
  def apply(arguments: Seq[Expression]): Seq[(String, Expression)] = {
    val flat = arguments.flatMap {
      case s: CreateNamedStruct => s.children.grouped(2).map { case Seq(name, value) => (label(name, value), value) }
      case e => Seq((own(e), e))
    }
    distinct(flat.zipWithIndex.map { case ((name, e), i) => (name.getOrElse(s"col${i + 1}"), bare(e)) })
  }

  private def label(name: Expression, value: Expression): Option[String] = name match {
    case Literal(text, _) if text != null => Some(text.toString)
    case _ => own(value) // a NamePlaceholder: Spark itself would wait for the value's name
  }

  private def own(e: Expression): Option[String] = e match {
    case u: UnresolvedAttribute => Some(u.nameParts.last) // HAVING builds the call before its columns are known
    case t: TempResolvedColumn => Some(t.nameParts.last)
    case l: LateralColumnAliasReference => Some(l.nameParts.last)
    case g: GetStructField => Some(g.extractFieldName)
    case g: GetArrayStructFields => Some(g.field.name)
    case n: NamedExpression if n.resolved => Some(n.name)
    case _ => None
  }

  private def bare(e: Expression): Expression = e match {
    case a: Alias => a.child
    case other => other
  }

  def distinct(named: Seq[(String, Expression)]): Seq[(String, Expression)] = {
    val taken = scala.collection.mutable.Set[String]()
    val all = named.map(_._1).toSet
    named.map { case (name, e) =>
      val free = Iterator.from(2).map(i => s"${name}_$i").filterNot(n => taken(n) || all(n))
      val fresh = if (taken(name)) free.next() else name
      taken += fresh
      (fresh, e)
    }
  }
}
