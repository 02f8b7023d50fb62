// Global variables of the terminal: shared by its programs, kept over its restarts.
#ifndef GLOBALS_HPP
#define GLOBALS_HPP
bool GlobalVariableCheck(const string &name);
double GlobalVariableGet(const string &name);
bool GlobalVariableGet(const string &name, double &value);
datetime GlobalVariableSet(const string &name, double value);
bool GlobalVariableSetOnCondition(const string &name, double value, double expected);
bool GlobalVariableTemp(const string &name);
bool GlobalVariableDel(const string &name);
datetime GlobalVariableTime(const string &name);
string GlobalVariableName(int index);
int GlobalVariablesTotal();
int GlobalVariablesDeleteAll(const string &prefix = string(), datetime limit = 0);
void GlobalVariablesFlush();
#endif
