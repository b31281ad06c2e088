# Writes OUTPUT, a C++ file with the files of FOLDER in it.
#
#   cmake -DFOLDER=client/web/assets -DOUTPUT=assets.cc -P client/web/embed.cmake
set(types_html "text/html; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")
set(types_json "application/json")
set(types_svg "image/svg+xml")

file(GLOB files RELATIVE ${FOLDER} ${FOLDER}/*)
list(SORT files)
set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS files)
  file(READ ${FOLDER}/${file} hex HEX)
  file(SIZE ${FOLDER}/${file} size)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(REGEX REPLACE "^.*\\." "" extension ${file})
  string(APPEND arrays "constexpr char kFile${number}[] = {${bytes}};\n")
  string(APPEND table "    Asset{\"/${file}\", \"${types_${extension}}\", {kFile${number}, ${size}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include <array>

#include \"client/web/assets_internal.h\"

namespace consilium {
namespace {

${arrays}
constexpr std::array kAssets = {
${table}};

}  // namespace

std::span<const Asset> Assets() { return kAssets; }

}  // namespace consilium
")
