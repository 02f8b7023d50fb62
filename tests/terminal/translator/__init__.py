"""MQL5 into C++, syntax only: every statement stays as it was written."""
