// The MQL5 language and its built-in functions for programs that the translator has rewritten.
// It does what the reference says, the traps included: memory that is grown is garbage; a wrong
// index, a division by zero and a dead pointer end the program as in the terminal; NULL is not "";
// StringToCharArray copies the terminating 0 and never shrinks. What the reference leaves open can
// be chosen by environment variables, so that a program can be tried under each reading.
#ifndef MQL5_HPP
#define MQL5_HPP
#include "language/base.hpp"

#include "language/pointer.hpp"

#include "language/datetime.hpp"

#include "language/string.hpp"

#include "language/array.hpp"

#include "language/text.hpp"

#include "language/numbers.hpp"

#include "terminal/program.hpp"

#include "terminal/inputs.hpp"

#include "storage/globals.hpp"

#include "storage/files.hpp"

#include "network/network.hpp"

#include "terminal/charts.hpp"

#include "trading/enums.hpp"

#include "trading/records.hpp"

#include "trading/functions.hpp"
#endif
