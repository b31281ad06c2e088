#pragma once

// Text in a picture's pixels: a name or a date that an export has burned in, which no removal of
// tags takes out.

#include "client/preprocess/image.h"

namespace consilium {

// Whether there seems to be a line of it: at least four marks of a letter's size and sharpness, of
// one height, side by side. A single marker ("L", "R") is none. It may miss what is faint, large or
// set in dots, and take a row of clips for text: a person has to look. Of 1,290 public chest X-rays
// with a shorter side of 256 pixels it names 230; the 105 of them that were looked at have text.
bool SeemsToHaveText(const Image& image);

}  // namespace consilium
