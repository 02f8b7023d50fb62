// The chart: its objects are recorded, and a test can read and click them.
#ifndef CHARTS_HPP
#define CHARTS_HPP

enum ENUM_OBJECT {
    OBJ_VLINE,
    OBJ_HLINE,
    OBJ_TREND,
    OBJ_RECTANGLE,
    OBJ_TEXT,
    OBJ_LABEL,
    OBJ_BUTTON,
    OBJ_EDIT,
    OBJ_BITMAP,
    OBJ_BITMAP_LABEL,
    OBJ_RECTANGLE_LABEL
};

enum ENUM_OBJECT_PROPERTY_INTEGER {
    OBJPROP_COLOR,
    OBJPROP_STYLE,
    OBJPROP_WIDTH,
    OBJPROP_BACK,
    OBJPROP_ZORDER,
    OBJPROP_FILL,
    OBJPROP_HIDDEN,
    OBJPROP_SELECTED,
    OBJPROP_READONLY,
    OBJPROP_TYPE,
    OBJPROP_TIME,
    OBJPROP_SELECTABLE,
    OBJPROP_CREATETIME,
    OBJPROP_FONTSIZE,
    OBJPROP_ANCHOR,
    OBJPROP_CORNER,
    OBJPROP_STATE,
    OBJPROP_ALIGN,
    OBJPROP_XDISTANCE,
    OBJPROP_YDISTANCE,
    OBJPROP_XSIZE,
    OBJPROP_YSIZE,
    OBJPROP_BGCOLOR,
    OBJPROP_BORDER_COLOR,
    OBJPROP_BORDER_TYPE,
    OBJPROP_TIMEFRAMES
};

enum ENUM_OBJECT_PROPERTY_DOUBLE { OBJPROP_PRICE, OBJPROP_ANGLE, OBJPROP_SCALE };

enum ENUM_OBJECT_PROPERTY_STRING { OBJPROP_NAME, OBJPROP_TEXT, OBJPROP_TOOLTIP, OBJPROP_FONT };

enum ENUM_BASE_CORNER {
    CORNER_LEFT_UPPER,
    CORNER_LEFT_LOWER,
    CORNER_RIGHT_LOWER,
    CORNER_RIGHT_UPPER
};

enum ENUM_ANCHOR_POINT {
    ANCHOR_LEFT_UPPER,
    ANCHOR_LEFT,
    ANCHOR_LEFT_LOWER,
    ANCHOR_LOWER,
    ANCHOR_RIGHT_LOWER,
    ANCHOR_RIGHT,
    ANCHOR_RIGHT_UPPER,
    ANCHOR_UPPER,
    ANCHOR_CENTER
};

enum ENUM_BORDER_TYPE { BORDER_FLAT, BORDER_RAISED, BORDER_SUNKEN };

enum ENUM_ALIGN_MODE { ALIGN_LEFT, ALIGN_CENTER, ALIGN_RIGHT };

enum ENUM_CHART_EVENT {
    CHARTEVENT_KEYDOWN,
    CHARTEVENT_OBJECT_CLICK,
    CHARTEVENT_OBJECT_DRAG,
    CHARTEVENT_OBJECT_ENDEDIT,
    CHARTEVENT_CLICK,
    CHARTEVENT_OBJECT_DELETE,
    CHARTEVENT_OBJECT_CREATE,
    CHARTEVENT_OBJECT_CHANGE,
    CHARTEVENT_MOUSE_MOVE,
    CHARTEVENT_CHART_CHANGE,
    CHARTEVENT_CUSTOM = 1000,
    CHARTEVENT_CUSTOM_LAST = 66534
};

#define clrNONE 0xFFFFFFFFu
#define clrBlack 0x000000u
#define clrWhite 0xFFFFFFu
#define clrRed 0x0000FFu
#define clrGreen 0x008000u
#define clrLime 0x00FF00u
#define clrLimeGreen 0x32CD32u
#define clrBlue 0xFF0000u
#define clrYellow 0x00FFFFu
#define clrGold 0x00D7FFu
#define clrOrange 0x00A5FFu
#define clrGray 0x808080u
#define clrSilver 0xC0C0C0u
#define clrDimGray 0x696969u
#define clrLightGray 0xD3D3D3u
#define clrWhiteSmoke 0xF5F5F5u
#define clrCrimson 0x3C14DCu
#define clrTomato 0x4763FFu
#define clrDarkOrange 0x008CFFu
#define clrDodgerBlue 0xFF901Eu
#define clrFireBrick 0x2222B2u
#define clrDarkGreen 0x006400u
#define clrSeaGreen 0x578B2Eu
#define clrMaroon 0x000080u
#define clrNavy 0x800000u
bool ObjectCreate(long chart, const string &name, ENUM_OBJECT type, int window, datetime time,
                  double price);
bool ObjectDelete(long chart, const string &name);
int ObjectsDeleteAll(long chart, const string &prefix, int window = -1, int type = -1);
int ObjectsDeleteAll(long chart, int window = -1, int type = -1);
int ObjectFind(long chart, const string &name);
int ObjectsTotal(long chart, int window = -1, int type = -1);
string ObjectName(long chart, int index, int window = -1, int type = -1);
bool ObjectSetInteger(long chart, const string &name, ENUM_OBJECT_PROPERTY_INTEGER p, long value);
bool ObjectSetDouble(long chart, const string &name, ENUM_OBJECT_PROPERTY_DOUBLE p, double value);
bool ObjectSetString(long chart, const string &name, ENUM_OBJECT_PROPERTY_STRING p,
                     const string &value);
long ObjectGetInteger(long chart, const string &name, ENUM_OBJECT_PROPERTY_INTEGER p);
double ObjectGetDouble(long chart, const string &name, ENUM_OBJECT_PROPERTY_DOUBLE p);
string ObjectGetString(long chart, const string &name, ENUM_OBJECT_PROPERTY_STRING p);
void ChartRedraw(long chart = 0);
long ChartID();
string ChartSymbol(long chart = 0);
bool ChartSaveTemplate(long chart, const string &name);
bool ChartApplyTemplate(long chart, const string &name);
bool ChartSetSymbolPeriod(long chart, const string &symbol, ENUM_TIMEFRAMES period);
bool EventChartCustom(long chart, ushort id, long l, double d, const string &s);
bool SendNotification(const string &text);
bool SendMail(const string &subject, const string &text);
bool PlaySound(const string &file);
int MessageBox(const string &text, const string &caption = string(), int flags = 0);
#endif
