#pragma once

// Pages that need nothing else: no script, no font, nothing from the network.

#include <string>
#include <vector>

namespace consilium {

// Rows of cells, which are text; the first row is the head.
std::string HtmlTable(const std::vector<std::vector<std::string>>& rows);

// A whole page: the title, which is text, and below it the body, which is markup.
std::string HtmlPage(const std::string& title, const std::string& body);

}  // namespace consilium
