#include "common/metrics/page.h"

#include <fmt/format.h>

#include "common/metrics/plot.h"

namespace consilium {
namespace {

constexpr char kStyle[] =
    "body{font-family:sans-serif;margin:2em auto;max-width:72em;color:#222;padding:0 1em}"
    "table{border-collapse:collapse;margin:.5em 0 1.5em}"
    "th,td{border:1px solid #bbb;padding:.25em .6em;text-align:right}"
    "th:first-child,td:first-child{text-align:left}"
    ".plots{display:flex;flex-wrap:wrap;gap:1em}.note{background:#fff4d6;padding:.6em 1em}";

}  // namespace

std::string HtmlTable(const std::vector<std::vector<std::string>>& rows) {
  std::string html = "<table>";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    html += "<tr>";
    for (const std::string& cell : rows[r]) {
      html += fmt::format("<{0}>{1}</{0}>", r == 0 ? "th" : "td", EscapeMarkup(cell));
    }
    html += "</tr>";
  }
  return html + "</table>\n";
}

std::string HtmlPage(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>"
      "<style>{1}</style></head><body>\n<h1>{0}</h1>\n{2}</body></html>\n",
      EscapeMarkup(title), kStyle, body);
}

}  // namespace consilium
